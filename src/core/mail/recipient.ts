/**
 * Who gets the mail of a connection: the administrator who proved himself at consent, at the address Graph has now. What a token
 * or a form said of an address counts for nothing, and an address outside the organisation's own domains gets nothing.
 */
import { openAdministrator } from "../consent/proof.ts";
import type { ConnectionContext } from "../context.ts";
import { ids, type MailReason } from "../store/documents.ts";
import type { DirectoryStore } from "../store/ports.ts";
import type { Administrator, RecipientSource } from "./ports.ts";

export type Recipient = { address: string } | { refusal: MailReason };

export interface RecipientNeeds {
  store: Pick<DirectoryStore, "read">;
  recipients: RecipientSource;
}

export const findRecipient = async (
  { store, recipients }: RecipientNeeds,
  connection: ConnectionContext,
): Promise<Recipient> => {
  const { connectionId, ring, tid } = connection;
  const proof = await store.read(connectionId, "proof", ids.proof("read"));
  if (proof?.tid !== tid) return { refusal: "administrator-unknown" };
  const { oid } = openAdministrator(ring, proof);
  const administrator = await recipients.administrator(connection, oid);
  return recipientOf(administrator, administrator ? await recipients.verifiedDomains(connection) : []);
};

/** Nothing that a mail server could read as more than one plain address. */
const plainAddress = /^[\w.!#$%&'*+/=?^`{|}~-]{1,64}@([a-z0-9-]+(?:\.[a-z0-9-]+)+)$/i;

export const recipientOf = (administrator: Administrator | null, verifiedDomains: readonly string[]): Recipient => {
  if (!administrator?.enabled) return { refusal: "administrator-unknown" };
  const address = (administrator.mail?.trim() || administrator.userPrincipalName?.trim()) ?? "";
  const [, domain] = plainAddress.exec(address) ?? [];
  if (domain === undefined || address.length > 254) return { refusal: "no-address" };
  const isOwn = verifiedDomains.some((verified) => verified.toLowerCase() === domain.toLowerCase());
  return isOwn ? { address } : { refusal: "foreign-domain" };
};
