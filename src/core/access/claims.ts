/**
 * From the claims of an access token to who calls. Products name their claims differently, so a map says where workspace,
 * subject and permissions are; roles of the product become permissions by a table. Pure: the token was verified before.
 */
import { z } from "zod";
import { type Permission, permissions } from "../context.ts";

/** The right to act for whichever workspace a program names; no right of people, and of no route. */
export const actAs = "workspace:act-as";

/** A claim's name, or a path with dots into nested claims; a claim whose own name has dots (a namespace) is found first. */
const ClaimName = z.string().min(1).max(200);

export const ClaimMap = z
  .strictObject({
    workspace: ClaimName,
    subject: ClaimName.default("sub"),
    /** When the person signed in: seconds since 1970. */
    signedInAt: ClaimName.default("auth_time"),
    /** List, or text separated by spaces, of our permissions; others in it are not ours and are passed over. */
    permissions: ClaimName.optional(),
    /** List, or text separated by spaces, of the product's roles. */
    roles: ClaimName.optional(),
    rolePermissions: z.record(z.string().min(1), z.array(z.enum([...permissions, actAs]))).default({}),
  })
  .refine(({ permissions: direct, roles }) => direct !== undefined || roles !== undefined, {
    error: "names neither permissions nor roles",
  });
export type ClaimMap = z.infer<typeof ClaimMap>;

export interface Identity {
  workspaceId: string;
  subject: string;
  permissions: ReadonlySet<Permission>;
  /** The product's, as the token names them. */
  roles: ReadonlySet<string>;
  /** Milliseconds; absent: the token does not say. */
  signedInAt?: number;
}

export type Claims = Readonly<Record<string, unknown>>;

export const workspacePattern = /^[A-Za-z0-9._-]{1,64}$/;
const maxSubjectLength = 255;

/** Null when the token does not say who calls and for which workspace. */
export const identityOf = (claims: Claims, map: ClaimMap): Identity | null => {
  const workspaceId = workspaceOf(claims, map);
  const subject = claimAt(claims, map.subject);
  if (workspaceId === null) return null;
  if (typeof subject !== "string" || subject === "" || subject.length > maxSubjectLength) return null;
  const { granted, roles } = rightsOf(claims, map);
  const signedInAt = signInTimeOf(claims, map);
  return {
    workspaceId,
    subject,
    permissions: new Set(permissions.filter((each) => granted.has(each))),
    roles,
    ...(signedInAt === null ? {} : { signedInAt }),
  };
};

/** What is there and no time counts as long ago. */
const signInTimeOf = (claims: Claims, { signedInAt }: ClaimMap): number | null => {
  const seconds = claimAt(claims, signedInAt);
  if (seconds === undefined || seconds === null) return null;
  return typeof seconds === "number" && Number.isFinite(seconds) ? seconds * 1000 : 0;
};

export const workspaceOf = (claims: Claims, { workspace }: ClaimMap): string | null => {
  const id = claimAt(claims, workspace);
  return typeof id === "string" && workspacePattern.test(id) ? id : null;
};

/** What the token grants, also what is not ours, and the roles it names. */
export const rightsOf = (
  claims: Claims,
  map: ClaimMap,
): { granted: ReadonlySet<string>; roles: ReadonlySet<string> } => {
  const granted = new Set(textsAt(claims, map.permissions));
  const roles = new Set(textsAt(claims, map.roles));
  for (const role of roles)
    if (Object.hasOwn(map.rolePermissions, role))
      for (const permission of map.rolePermissions[role] ?? []) granted.add(permission);
  return { granted, roles };
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
