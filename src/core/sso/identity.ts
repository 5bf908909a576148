/** Who signed in, as an application is told. */
import { createHash } from "node:crypto";
import type { SignedInPerson } from "./ports.ts";
import type { Scope } from "./request.ts";

/** The same person of a tenant for every application and connection; says nothing about who it is. Design: account key is (`tid`, `oid`). */
export const subjectOf = ({ tid, oid }: Pick<SignedInPerson, "tid" | "oid">): string =>
  createHash("sha256").update(`sub\0${tid.toLowerCase()}\0${oid.toLowerCase()}`).digest("base64url");

export interface Identity {
  sub: string;
  workspace: string;
  connection: string;
  /** Id under which the person is in people and changes of the connection; absent: the connection reads no directory. */
  person?: string;
  /** User of the product, where the product has linked the person. */
  product_user?: string;
  tid: string;
  oid: string;
  auth_time?: number;
  name?: string;
  preferred_username?: string;
  email?: string;
  email_verified?: boolean;
}

export const identityOf = (
  person: SignedInPerson,
  scopes: readonly Scope[],
  where: Pick<Identity, "workspace" | "connection" | "person" | "product_user">,
): Identity => ({
  sub: subjectOf(person),
  ...where,
  tid: person.tid,
  oid: person.oid,
  ...(person.authTime === null ? {} : { auth_time: person.authTime }),
  ...(scopes.includes("profile") ? { name: person.name, preferred_username: person.preferredUsername } : {}),
  ...(scopes.includes("email") && person.email !== null
    ? { email: person.email, email_verified: person.emailVerified }
    : {}),
});
