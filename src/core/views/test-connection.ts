/**
 * Tries a connection now: a token, its permissions, the organisation, a first page of each feed. Nothing that is read is kept
 * or shown, and the connection's state stays as it is. Before the product has confirmed the connection, people and groups are
 * left alone.
 */
import { z } from "zod";
import { readHead, requireOpen } from "../connections/change.ts";
import { openConnection } from "../connections/open.ts";
import { type ConnectionView, connectionView } from "../connections/views.ts";
import { missingPermissions } from "../consent/permissions.ts";
import type { ConsentGateway } from "../consent/ports.ts";
import type { Caller } from "../context.ts";
import type { DirectorySource } from "../directory/ports.ts";
import { AppError } from "../errors.ts";
import type { ViewNeeds } from "./readable.ts";

const checks = ["token", "permissions", "organization", "groups", "users"] as const;
type Check = (typeof checks)[number];

export const Finding = z.strictObject({
  check: z.enum(checks),
  outcome: z.enum(["passed", "failed", "skipped"]),
  /** Problem code of what failed. */
  code: z.string().nullable(),
  advice: z.string().nullable(),
  /** Permissions that are missing. */
  missing: z.array(z.string()),
});
export type Finding = z.infer<typeof Finding>;

export interface TestNeeds extends ViewNeeds {
  gateway: Pick<ConsentGateway, "roles" | "organization">;
  source: Pick<DirectorySource, "page">;
}

export const testConnection =
  (needs: TestNeeds) =>
  async (caller: Caller, connectionId: string): Promise<{ connection: ConnectionView; findings: Finding[] }> => {
    const { doc, context } = await openConnection(needs)(caller.workspaceId, connectionId);
    requireOpen(doc);
    const { tid } = doc;
    if (tid === null) throw new AppError("state-conflict", { detail: "No organisation has approved yet." });
    const tenant = { ...context, tid };
    const inUse = context.tid !== "";
    let roles: string[] = [];
    const work: Record<Check, (() => Promise<string[] | void>) | null> = {
      token: async () => {
        roles = await needs.gateway.roles("read", tid);
      },
      permissions: async () => missingPermissions(roles, "read"),
      organization: async () => {
        if ((await needs.gateway.organization(tenant)).id.toLowerCase() !== tid)
          throw new AppError("consent-wrong-tenant");
      },
      groups: inUse ? () => firstPage(needs, tenant, "groups") : null,
      users: inUse ? () => firstPage(needs, tenant, "users") : null,
    };
    const findings: Finding[] = [];
    for (const check of checks) {
      // Without a token nothing else can be known.
      const run = findings[0]?.outcome === "failed" ? null : work[check];
      findings.push(run ? await findingOf(check, run) : finding(check, "skipped"));
    }
    return { connection: connectionView(doc, await readHead(needs.store, connectionId), context.ring), findings };
  };

const firstPage = async (
  { source }: TestNeeds,
  tenant: Parameters<DirectorySource["page"]>[0],
  feed: "groups" | "users",
): Promise<void> => {
  await source.page(tenant, feed, null);
};

const findingOf = async (check: Check, run: () => Promise<string[] | void>): Promise<Finding> => {
  try {
    const missing = (await run()) ?? [];
    return missing.length === 0
      ? finding(check, "passed")
      : { ...finding(check, "failed", new AppError("permission-revoked")), missing };
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    return finding(check, "failed", error);
  }
};

const finding = (check: Check, outcome: Finding["outcome"], problem?: AppError): Finding => ({
  check,
  outcome,
  code: problem?.code ?? null,
  advice: problem?.advice ?? null,
  missing: [],
});
