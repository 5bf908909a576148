/**
 * Rights on one connection. A list of grants only takes away: who is on it has of the permissions of his token those that it
 * names for him or a role of his, and who is not on it has none. Pure.
 */
import { z } from "zod";
import { type Caller, type Permission, permissions } from "../context.ts";

const maxGrants = 200;

const Subject = z.strictObject({
  /** A role as the product's tokens name it, a person by the subject of the token, or a listed program likewise. */
  kind: z.enum(["role", "person", "machine"]),
  id: z
    .string()
    .min(1)
    .max(255)
    .refine((text) => !/[\p{Cc}\p{Cs}]/u.test(text), "contains control characters or half a character"),
});
type Subject = z.infer<typeof Subject>;

/** `operations` and `groups` (what may be run, which groups may be written to) will stand here; until then they are refused. */
export const Grant = z.strictObject({
  subject: Subject,
  permissions: z
    .array(z.enum(permissions))
    .min(1)
    .refine((list) => new Set(list).size === list.length, "names a permission twice"),
});
export type Grant = z.infer<typeof Grant>;

export const Grants = z
  .array(Grant)
  .max(maxGrants)
  .superRefine((grants, context) => {
    const seen = new Set<string>();
    for (const [index, { subject }] of grants.entries()) {
      if (seen.has(nameOf(subject)))
        context.addIssue({ code: "custom", path: [index, "subject"], message: "is in the list twice" });
      seen.add(nameOf(subject));
    }
  });

/** In records: `role:administrator`. */
export const nameOf = ({ kind, id }: Subject): string => `${kind}:${id}`;

type Who = Pick<Caller, "subject" | "roles" | "machine" | "permissions">;

const isMeant = ({ kind, id }: Subject, { subject, roles, machine }: Who): boolean =>
  kind === "role" ? roles?.has(id) === true : id === subject && (kind === "machine") === (machine === true);

/** What somebody may do; with an empty list, what his token says. */
export const permissionsUnder = (grants: readonly Grant[], who: Who): ReadonlySet<Permission> => {
  if (grants.length === 0) return who.permissions;
  const granted = new Set(grants.filter(({ subject }) => isMeant(subject, who)).flatMap((grant) => grant.permissions));
  return new Set([...who.permissions].filter((permission) => granted.has(permission)));
};

export type GrantFault =
  /** Nobody gives what he does not hold himself: `index` of the grant; null: the list would be gone. */
  { fault: "not-held"; index: number | null; permission: Permission } | { fault: "locked-out" };

/** What forbids `editor` to put `after` in the place of `before`. Without a list everybody has what his token says. */
export const grantFault = (before: readonly Grant[], after: readonly Grant[], editor: Who): GrantFault | null => {
  if (after.length === 0) {
    const lacking = before.length === 0 ? undefined : permissions.find((each) => !editor.permissions.has(each));
    return lacking === undefined ? null : { fault: "not-held", index: null, permission: lacking };
  }
  const known = new Map(before.map((grant) => [nameOf(grant.subject), grant.permissions]));
  for (const [index, { subject, permissions: given }] of after.entries()) {
    const held = new Set([...editor.permissions, ...(known.get(nameOf(subject)) ?? [])]);
    const lacking = given.find((permission) => !held.has(permission));
    if (lacking !== undefined) return { fault: "not-held", index, permission: lacking };
  }
  return permissionsUnder(after, editor).has("integration:secure") ? null : { fault: "locked-out" };
};

/** Field by field: one for each subject. */
export const grantChanges = (before: readonly Grant[], after: readonly Grant[]) => {
  const [earlier, later] = [before, after].map(
    (grants) => new Map(grants.map((grant) => [`grants.${nameOf(grant.subject)}`, grant.permissions.toSorted()])),
  );
  return [...new Set([...(earlier?.keys() ?? []), ...(later?.keys() ?? [])])].flatMap((field) => {
    const [old, young] = [earlier?.get(field) ?? null, later?.get(field) ?? null];
    return JSON.stringify(old) === JSON.stringify(young) ? [] : [{ field, before: old, after: young }];
  });
};
