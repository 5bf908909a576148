/**
 * Everything a test or a person may ask of the simulator beyond what Microsoft offers. Each command takes and gives plain
 * JSON, so the control port is nothing but a way to call them.
 */
import { randomUUID } from "node:crypto";
import { z } from "zod";
import { CommandRefusal, command } from "./command.ts";
import { personalStrings } from "./directory/personal-strings.ts";
import { randomChanges } from "./directory/random-change.ts";
import type { EntraSwitches } from "./entra/switches.ts";
import { Fault, Storm } from "./graph/faults.ts";
import type { Graph } from "./graph/graph.ts";
import type { Notifier } from "./graph/notifier.ts";
import { calm, harsh } from "./graph/switches.ts";
import { Mutation } from "./mutation-json.ts";
import { notificationCommands } from "./notification-commands.ts";
import type { Tenant } from "./world.ts";
import type { KeptOracle, StoredWorld } from "./world-store.ts";

export interface CommandNeeds {
  world: StoredWorld;
  graph: Graph;
  notifier: Notifier;
  entraSwitches: EntraSwitches;
  /** Moves the world's clock. */
  advance: (milliseconds: number) => void;
}

const tid = z.string().min(1);
const ofTenant = z.object({ tid });
const ofApp = z.object({ tid, clientId: z.string().min(1) });
const probability = z.number().min(0).max(1);

const Registration = z.object({
  clientId: z.string().min(1),
  displayName: z.string().default("Test application"),
  secrets: z.array(z.string()).default([]),
  certificates: z.array(z.object({ thumbprintSha256: z.string(), certificatePem: z.string() })).default([]),
  federatedCredentials: z
    .array(z.object({ issuer: z.string(), subject: z.string(), audience: z.string() }))
    .default([]),
  redirectUris: z.array(z.string()).default([]),
  applicationPermissions: z.array(z.string()).default([]),
  emitsDirectoryRoles: z.boolean().default(true),
  optionalClaims: z.array(z.enum(["acct", "auth_time", "xms_edov"])).default(["acct", "auth_time"]),
});

const TraitSettings = z
  .strictObject({
    pageSize: z.number().int().positive().nullable(),
    memberSlice: z.number().int().positive().nullable(),
    emptyPages: z.number().min(0).max(0.9),
    repeats: probability,
    replays: probability,
    sparseChanges: probability,
    unknownTombstones: probability,
    unknownMemberRemovals: probability,
    contradictions: probability,
    purgeRemovals: probability,
    lateMembers: probability,
    upperCaseIds: probability,
    loop: z.enum(["users", "groups"]).nullable(),
    replicationDelay: z.boolean(),
    lostNotifications: probability,
    repeatedNotifications: probability,
    shuffledNotifications: z.boolean(),
    notificationDelaySeconds: z.number().nonnegative(),
    managerNotifications: z.boolean(),
    groupSubscriptionRight: z.enum(["Group.Read.All", "GroupMember.Read.All"]),
    mostSubscriptions: z.number().int().nonnegative(),
    duplicateSubscriptions: z.boolean(),
    foreignOrigin: z.strictObject({
      nextLink: z.url().optional(),
      deltaLink: z.url().optional(),
      location: z.url().optional(),
    }),
  })
  .partial();

export const createCommands = ({ world, graph, notifier, entraSwitches, advance }: CommandNeeds) => {
  const tenantOf = (id: string): Tenant => {
    const tenant = world.tenants.get(id);
    if (!tenant) throw new CommandRefusal(`There is no tenant ${id}.`);
    return tenant;
  };
  const oracleOf = (id: string): KeptOracle => world.oracle(tenantOf(id).tid);
  const grantsOf = (id: string): Record<string, string[]> =>
    Object.fromEntries([...tenantOf(id).grants].map(([clientId, permissions]) => [clientId, [...permissions]]));

  return {
    "create-tenant": command(
      z.object({
        tid: z.guid().optional(),
        seed: z.number().int(),
        users: z.number().int().min(5),
        groups: z.number().int().min(0),
        domain: z.string().min(3),
      }),
      ({ tid: wanted, ...spec }) => {
        const id = (wanted ?? randomUUID()).toLowerCase();
        if (world.tenants.has(id)) throw new CommandRefusal(`The tenant ${id} exists already.`);
        const { accounts, displayName } = world.createTenant(id, spec);
        return { tid: id, displayName, accounts };
      },
    ),
    "delete-tenant": command(ofTenant, (asked) => {
      tenantOf(asked.tid).gone = true;
      return {};
    }),
    "register-app": command(Registration, (registration) => {
      world.registrations.set(registration.clientId, registration);
      return registration;
    }),
    list: command(z.object({}), () => ({
      registrations: [...world.registrations.values()],
      tenants: [...world.tenants.values()].map((tenant) => ({
        tid: tenant.tid,
        displayName: tenant.displayName,
        verifiedDomains: tenant.verifiedDomains,
        accounts: tenant.accounts,
        users: tenant.directory.users.size,
        groups: tenant.directory.groups.size,
        sequence: tenant.directory.sequence,
        grants: grantsOf(tenant.tid),
        disabledApps: [...tenant.disabledApps],
        gone: tenant.gone,
      })),
    })),
    /** Without `permissions`: all that the registration asks for. */
    grant: command(
      ofApp.extend({ permissions: z.array(z.string()).optional() }),
      ({ clientId, permissions, ...asked }) => {
        const requested = permissions ?? world.registrations.get(clientId)?.applicationPermissions;
        if (!requested) throw new CommandRefusal(`There is no registration ${clientId}.`);
        tenantOf(asked.tid).grants.set(clientId, new Set(requested));
        return grantsOf(asked.tid);
      },
    ),
    /** Without `permissions` the enterprise application itself is removed. */
    revoke: command(
      ofApp.extend({ permissions: z.array(z.string()).optional() }),
      ({ clientId, permissions, ...asked }) => {
        const { grants } = tenantOf(asked.tid);
        if (permissions) for (const permission of permissions) grants.get(clientId)?.delete(permission);
        else grants.delete(clientId);
        return grantsOf(asked.tid);
      },
    ),
    disable: command(ofApp, ({ clientId, ...asked }) => {
      tenantOf(asked.tid).disabledApps.add(clientId);
      return {};
    }),
    enable: command(ofApp, ({ clientId, ...asked }) => {
      tenantOf(asked.tid).disabledApps.delete(clientId);
      return {};
    }),
    /** Stops at the first one that is refused; those before it stay. */
    mutate: command(z.object({ tid, mutations: z.array(Mutation) }), ({ mutations, ...asked }) => {
      const { directory } = tenantOf(asked.tid);
      for (const mutation of mutations) directory.apply(mutation);
      return { sequence: directory.sequence };
    }),
    /** The people of the tenant's accounts are left alone. */
    "random-changes": command(
      z.object({ tid, seed: z.number().int(), count: z.number().int().min(0) }),
      ({ seed, count, ...asked }) => {
        const { directory, accounts } = tenantOf(asked.tid);
        const keep = new Set(accounts.map(({ objectId }) => objectId));
        return { mutations: randomChanges({ directory, seed, count, keep }), sequence: directory.sequence };
      },
    ),
    faults: command(z.object({ add: z.array(Fault).default([]), clear: z.boolean().default(false) }), (asked) => {
      if (asked.clear) graph.faults.clear();
      graph.faults.add(asked.add);
      return { left: graph.faults.left() };
    }),
    storm: command(z.object({ storm: Storm.nullable() }), ({ storm }) => {
      graph.faults.storm(storm);
      return {};
    }),
    /** `tid` null: all tenants without settings of their own. `mode` first, then `traits` over it. */
    switches: command(
      z.object({ tid: tid.nullable(), mode: z.enum(["harsh", "calm"]).optional(), traits: TraitSettings.optional() }),
      ({ mode, traits, ...asked }) => {
        if (mode) graph.switches.set(asked.tid, mode === "calm" ? calm : harsh);
        if (traits) graph.switches.set(asked.tid, traits);
        return graph.switches.of(asked.tid ?? "");
      },
    ),
    /** Fields of the simulated Entra ID's switches. */
    "entra-switches": command(z.record(z.string(), z.unknown()), (settings) => {
      const unknown = Object.keys(settings).find((name) => !(name in entraSwitches));
      if (unknown) throw new CommandRefusal(`There is no switch '${unknown}'.`);
      return Object.assign(entraSwitches, settings);
    }),
    clock: command(z.object({ advanceSeconds: z.number().nonnegative() }), ({ advanceSeconds }) => {
      advance(advanceSeconds * 1000);
      notifier.catchUp();
      return { now: new Date(world.now()).toISOString() };
    }),
    ...notificationCommands({ tenantOf, notifier }),
    requests: command(z.object({ since: z.number().int().min(0).default(0) }), ({ since }) => ({
      mark: graph.log.mark(),
      requests: graph.log.since(since),
    })),
    observe: command(ofTenant, (asked) => {
      oracleOf(asked.tid).observe();
      return {};
    }),
    oracle: command(ofTenant, (asked) => {
      const view = oracleOf(asked.tid).oracle.view();
      return {
        people: Object.fromEntries(view.people),
        groups: Object.fromEntries(
          [...view.groups].map(([id, group]) => [
            id,
            { ...group, members: [...group.members], childGroups: [...group.childGroups] },
          ]),
        ),
      };
    }),
    "personal-strings": command(ofTenant, (asked) => ({
      strings: [...personalStrings(tenantOf(asked.tid).directory, oracleOf(asked.tid).oracle.history)],
    })),
  };
};

export type Commands = ReturnType<typeof createCommands>;
