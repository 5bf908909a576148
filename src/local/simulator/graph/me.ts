/**
 * What Graph tells in the name of the person who signed in. Which delegated permission it takes to learn of directory roles is not
 * confirmed: the broadest candidate is asked for.
 */
import { z } from "zod";
import type { Call, Reply } from "./call.ts";
import { accessDenied, badRequest } from "./errors.ts";

const Asked = z.object({ ids: z.array(z.guid()).min(1).max(20) });

/** Of the ids that were asked for, the templates of the directory roles that the person holds now. */
export const checkMemberObjects = ({ person, tenant, body }: Call): Reply => {
  if (!person) throw badRequest("/me request is only valid with delegated authentication flow.");
  if (!person.scopes.includes("Directory.Read.All")) throw accessDenied();
  const asked = Asked.safeParse(parsed(body));
  if (!asked.success) throw badRequest("The property 'ids' is missing or not valid.");
  const roles = tenant.accounts.find(({ objectId }) => objectId === person.oid)?.directoryRoles ?? [];
  return { body: { value: asked.data.ids.filter((id) => roles.includes(id)) } };
};

const parsed = (body: string): unknown => {
  try {
    return JSON.parse(body);
  } catch {
    return null;
  }
};
