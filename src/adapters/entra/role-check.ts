/**
 * A second way to learn which roles an administrator holds, for registrations whose ID tokens do not tell: Graph is asked in the
 * name of the person who has just signed in, and the token is thrown away. Off unless `ROLE_CHECK_SCOPE` is set. Not verified
 * with a real tenant: which delegated permission it takes, and that templates of roles are accepted as ids.
 * https://learn.microsoft.com/graph/api/directoryobject-checkmemberobjects
 */
import { z } from "zod";
import { directoryRoles } from "../../core/consent/administrator.ts";
import { AppError } from "../../core/errors.ts";

export interface RoleCheck {
  /** Delegated permission that the sign-in asks for beside its own. */
  scope: string;
  /** Templates of the roles that approve, as far as the person holds them; null when Graph does not tell. */
  rolesOf(accessToken: string): Promise<string[] | null>;
}

const Held = z.object({ value: z.array(z.string().max(100)).max(100) });

export const roleCheck = (options: {
  /** `https://graph.microsoft.com/v1.0`. */
  graphBaseUrl: string;
  /** `graphResource(GRAPH_BASE_URL)`. */
  resource: string;
  permission: string;
  timeoutMs?: number;
}): RoleCheck => ({
  scope: `${options.resource}/${options.permission}`,
  rolesOf: async (accessToken) => {
    const known = Object.values<string>(directoryRoles);
    const answer = await fetch(`${options.graphBaseUrl}/me/checkMemberObjects`, {
      method: "POST",
      redirect: "error",
      signal: AbortSignal.timeout(options.timeoutMs ?? 10_000),
      headers: { authorization: `Bearer ${accessToken}`, "content-type": "application/json" },
      body: JSON.stringify({ ids: known }),
    }).catch(() => {
      throw new AppError("sign-in-unavailable", { detail: "role check" });
    });
    if (answer.status === 429 || answer.status >= 500) {
      await answer.body?.cancel();
      throw new AppError("sign-in-unavailable", { detail: `role check ${answer.status}` });
    }
    const held = Held.safeParse(await answer.json().catch(() => null));
    if (answer.status !== 200 || !held.success) return null;
    const told = new Set(held.data.value.map((role) => role.toLowerCase()));
    return known.filter((role) => told.has(role));
  },
});
