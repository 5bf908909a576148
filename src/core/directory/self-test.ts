/**
 * Tries whether a tenant can be read now: a token, its permissions, the organisation, a first page of each feed - five requests.
 * Nothing that is read is kept.
 */
import { missingPermissions } from "../consent/permissions.ts";
import type { ConsentGateway } from "../consent/ports.ts";
import type { ConnectionContext } from "../context.ts";
import { AppError } from "../errors.ts";
import { CursorExpired, type DirectorySource } from "./ports.ts";

export const checks = ["token", "permissions", "organization", "groups", "users"] as const;
export type Check = (typeof checks)[number];

export interface Tried {
  check: Check;
  outcome: "passed" | "failed" | "skipped";
  /** Of what failed. */
  problem: AppError | null;
  /** Permissions that are missing. */
  missing: string[];
}

export interface SelfTestNeeds {
  gateway: Pick<ConsentGateway, "roles" | "organization">;
  source: Pick<DirectorySource, "page">;
}

/** `feeds` false: people and groups are left alone. */
export const tryOut =
  ({ gateway, source }: SelfTestNeeds) =>
  async (tenant: ConnectionContext, { feeds }: { feeds: boolean }): Promise<Tried[]> => {
    let roles: string[] = [];
    const firstPage = (feed: "groups" | "users") => async (): Promise<void> => {
      await source.page(tenant, feed, null);
    };
    const work: Record<Check, (() => Promise<string[] | void>) | null> = {
      token: async () => {
        roles = await gateway.roles("read", tenant.tid);
      },
      permissions: async () => missingPermissions(roles, "read"),
      organization: async () => {
        if ((await gateway.organization(tenant)).id.toLowerCase() !== tenant.tid)
          throw new AppError("consent-wrong-tenant");
      },
      groups: feeds ? firstPage("groups") : null,
      users: feeds ? firstPage("users") : null,
    };
    const tried: Tried[] = [];
    for (const check of checks) {
      // Without a token nothing else can be known.
      const run = tried[0]?.outcome === "failed" ? null : work[check];
      tried.push(run ? await attempt(check, run) : { check, outcome: "skipped", problem: null, missing: [] });
    }
    return tried;
  };

/** What stands in the way of a run; null = nothing. */
export const selfTest =
  (needs: SelfTestNeeds) =>
  async (tenant: ConnectionContext): Promise<AppError | null> =>
    (await tryOut(needs)(tenant, { feeds: true })).find(({ problem }) => problem !== null)?.problem ?? null;

const attempt = async (check: Check, run: () => Promise<string[] | void>): Promise<Tried> => {
  try {
    const missing = (await run()) ?? [];
    return missing.length === 0
      ? { check, outcome: "passed", problem: null, missing }
      : { check, outcome: "failed", problem: new AppError("permission-revoked", { missing }), missing };
  } catch (error) {
    return { check, outcome: "failed", problem: problemOf(error), missing: [] };
  }
};

const problemOf = (error: unknown): AppError => {
  if (error instanceof AppError) return error;
  // No link was sent that could have expired.
  if (error instanceof CursorExpired) return new AppError("graph-unavailable", { cause: error });
  throw error;
};
