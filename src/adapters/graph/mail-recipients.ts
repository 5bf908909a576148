/** Where the administrator of a connection gets mail, as Graph has it now. */
import { AppError } from "../../core/errors.ts";
import type { RecipientSource } from "../../core/mail/ports.ts";
import { describe } from "./answers.ts";
import type { GraphClient } from "./client.ts";
import { organization } from "./organization.ts";

const text = (value: unknown): string | null => (typeof value === "string" && value.trim() !== "" ? value : null);

export const mailRecipients = (client: GraphClient): RecipientSource => ({
  administrator: async (connection, oid) => {
    const url = client.address.at(`/users/${encodeURIComponent(oid)}?$select=mail,userPrincipalName,accountEnabled`);
    const answer = await client.send(connection, { method: "GET", url });
    if (answer.status === 404) return null;
    if (answer.status !== 200 || !answer.body) throw new AppError("graph-refused", { detail: describe(answer) });
    const { mail, userPrincipalName, accountEnabled } = answer.body;
    return { mail: text(mail), userPrincipalName: text(userPrincipalName), enabled: accountEnabled !== false };
  },
  verifiedDomains: async (connection) => (await organization(client)(connection)).verifiedDomains,
});
