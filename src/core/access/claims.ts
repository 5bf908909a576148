/**
 * From the claims of an access token to who calls. Products name their claims differently, so a map says where workspace,
 * subject and permissions are; roles of the product become permissions by a table. Pure: the token was verified before.
 */
import { z } from "zod";
import { type Permission, permissions } from "../context.ts";

/** A claim's name, or a path with dots into nested claims; a claim whose own name has dots (a namespace) is found first. */
const ClaimName = z.string().min(1).max(200);

export const ClaimMap = z
  .strictObject({
    workspace: ClaimName,
    subject: ClaimName.default("sub"),
    /** List, or text separated by spaces, of our permissions; others in it are not ours and are passed over. */
    permissions: ClaimName.optional(),
    /** List, or text separated by spaces, of the product's roles. */
    roles: ClaimName.optional(),
    rolePermissions: z.record(z.string().min(1), z.array(z.enum(permissions))).default({}),
  })
  .refine(({ permissions: direct, roles }) => direct !== undefined || roles !== undefined, {
    error: "names neither permissions nor roles",
  });
export type ClaimMap = z.infer<typeof ClaimMap>;

export interface Identity {
  workspaceId: string;
  subject: string;
  permissions: ReadonlySet<Permission>;
}

export type Claims = Readonly<Record<string, unknown>>;

const workspacePattern = /^[A-Za-z0-9._-]{1,64}$/;
const maxSubjectLength = 255;

/** Null when the token does not say who calls and for which workspace. */
export const identityOf = (claims: Claims, map: ClaimMap): Identity | null => {
  const workspaceId = claimAt(claims, map.workspace);
  const subject = claimAt(claims, map.subject);
  if (typeof workspaceId !== "string" || !workspacePattern.test(workspaceId)) return null;
  if (typeof subject !== "string" || subject === "" || subject.length > maxSubjectLength) return null;
  const granted = new Set<Permission>();
  for (const text of textsAt(claims, map.permissions)) if (isPermission(text)) granted.add(text);
  for (const role of textsAt(claims, map.roles)) {
    if (Object.hasOwn(map.rolePermissions, role))
      for (const permission of map.rolePermissions[role] ?? []) granted.add(permission);
  }
  return { workspaceId, subject, permissions: granted };
};

/** What only ID tokens carry: they say who signed in to the product's pages, not who may call an API. */
export const isIdToken = (claims: Claims): boolean =>
  ["nonce", "at_hash", "c_hash", "s_hash"].some((name) => Object.hasOwn(claims, name));

/** A program in its own name, as issuers mark it: no person stands behind it, and none could be named in a record. */
export const isMachineToken = (claims: Claims): boolean =>
  claims.gty === "client-credentials" ||
  claims.idtyp === "app" ||
  (claims.sub !== undefined && [claims.client_id, claims.azp, claims.cid].includes(claims.sub));

const claimAt = (claims: Claims, name: string): unknown => {
  if (Object.hasOwn(claims, name)) return claims[name];
  let value: unknown = claims;
  for (const part of name.split(".")) {
    if (typeof value !== "object" || value === null || !Object.hasOwn(value, part)) return undefined;
    value = Reflect.get(value, part);
  }
  return value;
};

const textsAt = (claims: Claims, name: string | undefined): string[] => {
  const value = name === undefined ? undefined : claimAt(claims, name);
  if (typeof value === "string") return value.split(" ").filter((text) => text !== "");
  return Array.isArray(value) ? value.filter((text) => typeof text === "string") : [];
};

const known: ReadonlySet<string> = new Set(permissions);
const isPermission = (text: string): text is Permission => known.has(text);
