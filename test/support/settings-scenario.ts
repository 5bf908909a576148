/**
 * A tenant and a connection to it under settings of some kind, beside an oracle that is told the same settings and shown the
 * tenant whenever a run has seen it.
 */
import { expect } from "vitest";
import { entriesOf, openChanges } from "../../src/core/audit/change-log.ts";
import { BlacklistEntries, wholeList } from "../../src/core/connections/blacklist.ts";
import { applyChange } from "../../src/core/connections/change-settings.ts";
import { changeProductGroups } from "../../src/core/connections/product-groups.ts";
import { Settings } from "../../src/core/connections/settings.ts";
import { type Caller, type ConnectionContext, permissions } from "../../src/core/context.ts";
import { openPersonKey, personId } from "../../src/core/crypto/key-ring.ts";
import { sealRef } from "../../src/core/directory/ref.ts";
import { knownGroup, knownPerson } from "../../src/core/directory/run/known.ts";
import { switchPerson } from "../../src/core/directory/switch-person.ts";
import { commit } from "../../src/core/store/commit.ts";
import { type Head, ids, type RunDoc, type RunMode, type Stored } from "../../src/core/store/documents.ts";
import type { Write } from "../../src/core/store/ports.ts";
import { createOracle, type Oracle } from "../../src/local/simulator/directory/oracle.ts";
import { stringsOfStrangers } from "../../src/local/simulator/directory/personal-strings.ts";
import { guidOf } from "../../src/local/simulator/directory/random.ts";
import type { DirectoryState } from "../../src/local/simulator/directory/state.ts";
import { all, comparable, expected, held, readLog, replay } from "./held.ts";
import { type Choice, markersFor, productGroupIds, settingsFor } from "./scope-settings.ts";
import { type Stage, wideSettings } from "./sync-stage.ts";

export interface Scenario {
  tid: string;
  connectionId: string;
  context: ConnectionContext;
  directory: DirectoryState;
  oracle: Oracle;
  /** The connection's settings, and the oracle's. */
  choose(choice: Choice, seed: number, more?: Partial<Settings>): Promise<void>;
  /** What would become of the people and groups under these settings, with the blacklist that there is. */
  impact(choice: Choice, seed: number): Promise<Stored<RunDoc>>;
  /** One person on or off by hand, in a tenant that has not moved since the last run. */
  switch(oid: string, enabled: boolean): Promise<void>;
  /** Random life in the tenant. */
  live(seed: number, count: number): void;
  /** Works until the connection is at rest; fails unless the run came to its end and left nothing open. */
  sync(mode?: RunMode): Promise<void>;
  head(): Promise<Stored<Head>>;
  newestRun(): Promise<Stored<RunDoc>>;
  /** Of the change log, after this sequence. */
  newEntries(sequence: number): Promise<ReturnType<typeof entriesOf>>;
  /** What is stored is what the oracle expects. */
  agrees(): Promise<void>;
  /** What the product made of the log alone is what the oracle expects. */
  replays(): Promise<void>;
  /** Personal strings and object ids of people who were never admitted. */
  strangers(): Set<string>;
  /** Every text in the records and the log, opened. */
  openedTexts(): Promise<Set<string>>;
}

const caller: Caller = {
  workspaceId: "w1",
  subject: "administrator",
  permissions: new Set(permissions),
  ip: "unknown",
  correlationId: "settings",
};

export const openScenario = async (
  stage: Stage,
  { seed, choice, users = 60, groups = 15 }: { seed: number; choice: Choice; users?: number; groups?: number },
): Promise<Scenario> => {
  const { simulator, store, ambient } = stage;
  // What the simulator leaves to chance hangs on the tenant's id as well.
  const tid = guidOf("tenant", seed);
  simulator.commands["create-tenant"].run({ tid, users, groups, seed, domain: `t${seed}.example` });
  simulator.commands.grant.run({ tid, clientId: stage.clientId });
  const { directory } = simulator.world.tenants.get(tid)!;
  const { connectionId, context } = await stage.connect(tid);
  const { ring } = context;
  const needs = { ...stage.needs, keys: { ring: async () => ring } };
  let markers = markersFor(directory, seed);
  const oracle = createOracle({ markers });

  const scenario: Scenario = {
    tid,
    connectionId,
    context,
    directory,
    oracle,
    impact: async (next, pick) => {
      const chosen = settingsFor(next, directory, pick);
      const proposed = Settings.parse({ ...wideSettings, ...chosen.settings });
      const requested = {
        runId: ambient.ulid(),
        mode: "dry-run",
        cause: "manual",
        at: ambient.now(),
        proposed,
      } as const;
      await commit(needs, await scenario.head(), {
        advance: (head) => ({ ...head, requested, wakeAt: ambient.now() }),
      });
      await stage.settle(connectionId);
      return scenario.newestRun();
    },
    choose: async (next, pick, more = {}) => {
      const chosen = settingsFor(next, directory, pick);
      const settings = Settings.parse({ ...wideSettings, ...chosen.settings, ...more });
      const blacklist = wholeList(BlacklistEntries.parse(chosen.blacklist), "entries");
      await applyChange(needs)(caller, connectionId, () => ({ settings, blacklist }));
      oracle.use(chosen);
    },
    switch: async (oid, enabled) => {
      const ref = enabled ? { ref: sealRef(ambient, context, oid) } : {};
      await switchPerson({ ...needs, search: stage.search })(caller, connectionId, personId(ring, oid), {
        enabled,
        ...ref,
      });
      markers = new Map([...markers, [oid, enabled ? "enabled" : "excluded"]]);
      oracle.use({ markers });
      oracle.observe(directory, ambient.now());
    },
    live: (life, count) => {
      simulator.commands["random-changes"].run({ tid, seed: life, count });
    },
    sync: async (mode = "delta") => {
      await stage.sync(connectionId, mode);
      const { run, failures, lastRound, suspect } = await scenario.head();
      expect({ run, failures, suspect }).toEqual({ run: null, failures: 0, suspect: false });
      if (mode === "dry-run") return;
      expect(lastRound?.outcome).toMatch(/^(done|nothing)$/);
      oracle.observe(directory, ambient.now());
    },
    head: async () => (await store.read(connectionId, "head", ids.head))!,
    newestRun: async () => (await store.list(connectionId, "run", { limit: 1 }))[0]!,
    newEntries: async (sequence) =>
      (await readLog(store, connectionId)).flatMap(entriesOf).filter((entry) => entry.sequence > sequence),
    agrees: async () => {
      const view = oracle.view();
      const found = await held(store, context);
      expect(comparable(found, view, context)).toEqual(expected(view, context));
      const active = Object.values(found.people).filter(({ state }) => state === "active").length;
      const { counters } = await scenario.head();
      const shown = Object.keys(found.groups).length;
      expect(counters).toMatchObject({ people: active, groups: shown });
    },
    replays: async () => {
      const view = oracle.view();
      const replayed = comparable(await replay(store, context), view, context);
      expect(replayed).toEqual({ ...expected(view, context), filters: [] });
    },
    strangers: () => stringsOfStrangers(directory, oracle.history, 8),
    openedTexts: async () => {
      const texts = new Set<string>();
      const people = await all((after) => store.list(connectionId, "person", { after, limit: 200 }), 200);
      const keys = new Map(people.map((doc) => [doc.id, openPersonKey(ring, connectionId, doc.id.slice(2), doc.key)]));
      for (const doc of people) addTexts(texts, knownPerson(ring, doc).record);
      for (const doc of await all((after) => store.list(connectionId, "group", { after, limit: 200 }), 200))
        addTexts(texts, knownGroup(ring, doc).record);
      for (const entry of (await readLog(store, connectionId)).flatMap(entriesOf)) {
        if (entry.kind !== "person" && entry.kind !== "group") continue;
        const key = entry.kind === "person" ? keys.get(ids.person(entry.object)) : ring.sealing;
        if (key) addTexts(texts, openChanges(key, connectionId, entry));
      }
      return texts;
    },
  };

  const items = productGroupIds.map((id) => ({ id, name: `Group ${id}` }));
  await changeProductGroups(needs)(caller, connectionId, undefined, { items });
  const { _etag: etag, ...head } = await scenario.head();
  const laid = await store.write(connectionId, [
    { op: "replace", doc: { ...head, marked: true }, etag },
    ...[...markers].map(([oid, marker]): Write => {
      const id = ids.marker(personId(ring, oid));
      return {
        op: "create",
        doc: { id, kind: "marker", connectionId, v: 1, marker, changedAt: "2026-01-01T00:00:00Z" },
      };
    }),
  ]);
  if (!laid.ok) throw new Error("the markers could not be laid down");
  await scenario.choose(choice, seed);
  return scenario;
};

const addTexts = (found: Set<string>, value: unknown): void => {
  if (typeof value === "string") found.add(value);
  else if (Array.isArray(value)) for (const each of value) addTexts(found, each);
  else if (typeof value === "object" && value !== null) for (const each of Object.values(value)) addTexts(found, each);
};

/** What a run plans; how often objects were met, and what it cost, is none of it. */
export const plannedCounts = ({ counts }: Pick<RunDoc, "counts">): Partial<RunDoc["counts"]> => {
  const {
    peopleRead: _1,
    groupsRead: _2,
    graphRequests: _3,
    documentsWritten: _4,
    keptThoughCleared: _5,
    ...planned
  } = counts;
  return planned;
};
