/**
 * The world on disk: one journal with the making of tenants, each alteration of a directory, and a picture of everything
 * small (registrations, grants, accounts) whenever it has changed. What was answered survives a kill of the process.
 */

import { join } from "node:path";
import { keptKey } from "../kept-key.ts";
import type { DirectorySpec } from "./directory/generator.ts";
import { type DirectoryRecord, type KeptDirectory, openDirectories, openJournal } from "./directory/journal.ts";
import type { Mutation } from "./directory/state.ts";
import { feedIndex } from "./graph/feed-index.ts";
import type { Account, AppRegistration, Subscription, Tenant, World } from "./world.ts";

interface TenantPicture {
  tid: string;
  displayName: string;
  verifiedDomains: string[];
  accounts: Account[];
  grants: [clientId: string, permissions: string[]][];
  disabledApps: string[];
  /** Absent in a world that was kept before there were any. */
  subscriptions?: Subscription[];
  gone: boolean;
}

interface Picture {
  kind: "picture";
  registrations: AppRegistration[];
  tenants: TenantPicture[];
}

export type KeptOracle = Pick<KeptDirectory, "oracle" | "observe">;

export interface StoredWorld extends World {
  createTenant(tid: string, spec: DirectorySpec): Tenant;
  /** What a correct sync of the tenant must hold; it survives with the tenant what it was shown. */
  oracle(tid: string): KeptOracle;
  /** Writes down what changed outside the directories; to be called before an answer tells of it. */
  save: () => void;
  close(): void;
}

/** Without a folder everything lives and dies with the process. `changed` is told of each alteration of a directory. */
export const openWorld = (
  dataDir: string | undefined,
  now: () => number,
  changed: (tenant: Tenant, mutation: Mutation) => void = () => {},
): StoredWorld => {
  const journal =
    dataDir === undefined ? null : openJournal<DirectoryRecord | Picture>(join(dataDir, "simulator.ndjson"));
  const registrations = new Map<string, AppRegistration>();
  const tenants = new Map<string, Tenant>();
  const entries = journal?.entries ?? [];
  const picture = entries.findLast((entry) => entry.kind === "picture");
  const records = entries.filter((entry) => entry.kind !== "picture");
  const directories = openDirectories(
    records,
    (record) => {
      journal?.append(record);
      const tenant = tenants.get(record.tid);
      // the feeds need to see each change before the next one covers what it replaced
      if (tenant) feedIndex(tenant.directory);
      if (tenant && record.kind === "mutation") changed(tenant, record.mutation);
    },
    now,
  );

  const settle = (
    tid: string,
    kept: { spec: DirectorySpec; directory: Tenant["directory"]; accounts: Account[] },
  ): Tenant => {
    const { domain } = kept.spec;
    const tenant: Tenant = {
      tid,
      displayName: `Organisation ${domain}`,
      verifiedDomains: [domain, `${(domain.split(".")[0] ?? domain).toLowerCase()}.onmicrosoft.com`],
      directory: kept.directory,
      accounts: kept.accounts,
      grants: new Map(),
      disabledApps: new Set(),
      subscriptions: new Map(),
      gone: false,
    };
    tenants.set(tid, tenant);
    feedIndex(tenant.directory);
    return tenant;
  };

  for (const [tid, kept] of directories.kept) settle(tid, kept);
  for (const registration of picture?.registrations ?? []) registrations.set(registration.clientId, registration);
  for (const kept of picture?.tenants ?? []) {
    const tenant = tenants.get(kept.tid);
    if (!tenant) continue;
    const grants = new Map(kept.grants.map(([clientId, permissions]) => [clientId, new Set(permissions)]));
    const disabledApps = new Set(kept.disabledApps);
    const subscriptions = new Map((kept.subscriptions ?? []).map((each) => [each.id, each]));
    tenants.set(kept.tid, { ...tenant, ...kept, grants, disabledApps, subscriptions });
  }

  const takePicture = (): Picture => ({
    kind: "picture",
    registrations: [...registrations.values()],
    tenants: [...tenants.values()].map((tenant) => ({
      tid: tenant.tid,
      displayName: tenant.displayName,
      verifiedDomains: tenant.verifiedDomains,
      accounts: tenant.accounts,
      grants: [...tenant.grants].map(([clientId, permissions]) => [clientId, [...permissions]]),
      disabledApps: [...tenant.disabledApps],
      subscriptions: [...tenant.subscriptions.values()],
      gone: tenant.gone,
    })),
  });
  let saved = JSON.stringify(takePicture());

  return {
    registrations,
    tenants,
    now,
    createTenant: (tid, spec) => settle(tid, directories.create(tid, spec)),
    oracle: (tid) => {
      const kept = directories.kept.get(tid);
      if (!kept) throw new Error(`There is no tenant ${tid}.`);
      return kept;
    },
    save: () => {
      if (!journal) return;
      const taken = takePicture();
      const text = JSON.stringify(taken);
      if (text === saved) return;
      journal.append(taken);
      saved = text;
    },
    close: () => journal?.close(),
  };
};

/** Links outlive a restart only under the same key. */
export const linkKey = (dataDir: string | undefined): Buffer =>
  keptKey(dataDir === undefined ? undefined : join(dataDir, "simulator-links.key"));
