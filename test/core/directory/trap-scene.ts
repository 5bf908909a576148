/**
 * A small tenant made by hand on a stage: calm but for the traits a test names, so that each test meets one trap. What the feeds
 * said is kept, because a trap that was not met proves nothing.
 */
import { createHash } from "node:crypto";
import { afterAll, afterEach, beforeAll, expect } from "vitest";
import { entriesOf } from "../../../src/core/audit/change-log.ts";
import type { EntryDraft } from "../../../src/core/audit/entries.ts";
import type { ConnectionContext } from "../../../src/core/context.ts";
import { personId } from "../../../src/core/crypto/key-ring.ts";
import type { Feed, RawObject } from "../../../src/core/directory/ports.ts";
import type { PersonRecord } from "../../../src/core/directory/records.ts";
import { knownPerson } from "../../../src/core/directory/run/known.ts";
import type { WorkerNeeds } from "../../../src/core/directory/run/round.ts";
import { type Worked, work } from "../../../src/core/directory/run/worker.ts";
import { commit } from "../../../src/core/store/commit.ts";
import { type ConnectionDoc, type Head, ids, type RunDoc, type Stored } from "../../../src/core/store/documents.ts";
import { createOracle } from "../../../src/local/simulator/directory/oracle.ts";
import type { DirectoryState, Mutation } from "../../../src/local/simulator/directory/state.ts";
import type { Fault } from "../../../src/local/simulator/graph/faults.ts";
import type { LoggedRequest } from "../../../src/local/simulator/graph/request-log.ts";
import type { TraitChanges } from "../../../src/local/simulator/graph/switches.ts";
import { foundGroup } from "../../support/group-mutations.ts";
import { expected, type Held, held, readLog, replay } from "../../support/held.ts";
import { type Stage, startStage } from "../../support/sync-stage.ts";

export { microsoft365 } from "../../support/group-mutations.ts";

/** A stage for the tests of a file; what a test has put in the way is taken away after it. */
export const withStage = (seed: number, started: (stage: Stage) => void): void => {
  let stage: Stage;
  let healthy: WorkerNeeds;
  beforeAll(async () => {
    stage = await startStage({ seed });
    healthy = stage.needs;
    started(stage);
  });
  afterEach(() => {
    stage.needs = healthy;
    stage.simulator.commands.faults.run({ clear: true });
    stage.simulator.commands["entra-switches"].run({ expiredSecrets: [] });
  });
  afterAll(() => stage.close());
};

/** People of a scene are numbered below 500, groups above. */
export const guid = (number: number): string => `00000000-0000-4000-8000-${number.toString(16).padStart(12, "0")}`;
const numbers = Array.from({ length: 500 }, (_, number) => number);

export const person = (number: number, properties: object = {}, manager: number | null = null): Mutation => ({
  op: "create-user",
  user: {
    id: guid(number),
    properties: {
      userPrincipalName: `person${number}@scene.example`,
      displayName: `Person ${number}`,
      mail: `person${number}@scene.example`,
      jobTitle: "Engineer",
      accountEnabled: true,
      ...properties,
    },
    managerId: manager === null ? null : guid(manager),
  },
});

/** Numbers `from`, `from + 1`, ... */
export const range = (from: number, count: number): number[] => Array.from({ length: count }, (_, at) => from + at);

export const people = (count: number): Mutation[] => range(1, count).map((number) => person(number));

/** Numbers below 500 are people, the others nested groups. */
export const group = (number: number, members: readonly number[] = [], properties: object = {}): Mutation =>
  foundGroup(
    guid(number),
    { displayName: `Group ${number}`, mailNickname: `group${number}`, ...properties },
    members.map((member) => [guid(member), typeOf(member)]),
  );

const typeOf = (member: number): "user" | "group" => (member < 500 ? "user" : "group");

export const join = (groupNumber: number, member: number): Mutation => ({
  op: "add-member",
  groupId: guid(groupNumber),
  memberId: guid(member),
  memberType: typeOf(member),
});
export const leave = (groupNumber: number, member: number): Mutation => ({
  op: "remove-member",
  groupId: guid(groupNumber),
  memberId: guid(member),
});
export const set = (number: number, properties: Record<string, unknown>): Mutation => ({
  op: typeOf(number) === "user" ? "update-user" : "update-group",
  id: guid(number),
  set: properties,
});
type EndOp = "delete" | "restore" | "purge";
export const end = (op: EndOp, number: number): Mutation => ({ op: `${op}-${typeOf(number)}`, id: guid(number) });
export const manage = (number: number, manager: number | null): Mutation => ({
  op: "set-manager",
  id: guid(number),
  managerId: manager === null ? null : guid(manager),
});

export interface Synced {
  /** Document of the newest run that began with this sync; null when none was written. */
  run: Stored<RunDoc> | null;
  entries: EntryDraft[];
  head: Stored<Head>;
  /** What Graph was asked for this tenant. */
  requests: LoggedRequest[];
  /** Each page of each feed, as the sync got it. */
  pages: { feed: Feed; objects: RawObject[] }[];
}

export interface Scene {
  tid: string;
  connectionId: string;
  context: ConnectionContext;
  directory: DirectoryState;
  /** Puts other objects in the place of those on a page; null: as Graph sent them. */
  alter: ((feed: Feed, objects: RawObject[]) => RawObject[]) | null;
  change(...mutations: Mutation[]): void;
  traits(changes: TraitChanges): void;
  fault(...faults: Fault[]): void;
  sync(mode?: "full" | "delta"): Promise<Synced>;
  /** Asks for a run without working on it. */
  ask(mode?: "full" | "delta"): Promise<void>;
  /** One hint's work, at the present time. */
  step(): Promise<Worked | "thrown">;
  /** One hint's work at the time head waits for. */
  nextStep(): Promise<Worked | "thrown">;
  head(): Promise<Stored<Head>>;
  connection(): Promise<Stored<ConnectionDoc>>;
  /** Changes head or the connection behind everybody's back. */
  lay(changes: { head?: Partial<Head>; settings?: Partial<ConnectionDoc["settings"]> }): Promise<void>;
  personId(number: number): string;
  stored(number: number): Promise<{ state: string; record: PersonRecord } | null>;
  /** Numbers of the people in the group's shards, active or not. */
  members(groupNumber: number): Promise<number[]>;
  held(): Promise<Held>;
  entriesSince(sequence: number): Promise<EntryDraft[]>;
  /** Both the store and the replayed log hold what the oracle expects of the completed rounds. */
  agrees(): Promise<void>;
}

export interface SceneOptions {
  before?: readonly Mutation[];
  traits?: TraitChanges;
  /** Another connection to the tenant of this scene. */
  sameTenantAs?: Scene;
  /** Tells the tenants of one test apart. */
  label?: string;
}

/** The name of the test decides what the simulator leaves to chance, so a test meets the same shapes every time. */
const tidOfTest = (label: string): string => {
  const digits = createHash("sha256").update(`${expect.getState().currentTestName}/${label}`).digest("hex");
  return digits.slice(0, 32).replace(/^(.{8})(.{4}).(.{3}).(.{3})(.{12}).*$/, "$1-$2-4$3-a$4-$5");
};

export const openScene = async (stage: Stage, options: SceneOptions = {}): Promise<Scene> => {
  const { simulator, store, ambient } = stage;
  const { before = [], sameTenantAs, label = "" } = options;
  const tid = sameTenantAs?.tid ?? tidOfTest(label);
  if (!sameTenantAs) {
    simulator.commands["create-tenant"].run({ tid, users: 5, groups: 0, seed: 1, domain: "accounts.example" });
    simulator.commands.grant.run({ tid, clientId: stage.clientId });
    simulator.commands.switches.run({ tid, mode: "calm" });
  }
  const { directory } = simulator.world.tenants.get(tid)!;
  const { connectionId, context } = await stage.connect(tid);
  const idOf = (number: number) => personId(context.ring, guid(number));
  const numberOf = new Map(numbers.map((number) => [idOf(number), number]));
  const oracle = createOracle();
  let observed = 0;
  let pages: Synced["pages"] = [];

  const inner = stage.needs.source;
  stage.needs = {
    ...stage.needs,
    source: {
      ...inner,
      page: async (connection, feed, link) => {
        const page = await inner.page(connection, feed, link);
        if (connection.connectionId !== connectionId) return page;
        const objects = scene.alter ? scene.alter(feed, page.objects) : page.objects;
        pages.push({ feed, objects });
        return { ...page, objects };
      },
    },
  };

  const scene: Scene = {
    tid,
    connectionId,
    context,
    directory,
    alter: null,
    change: (...mutations) => {
      for (const mutation of mutations) directory.apply(mutation);
    },
    traits: (changes) => simulator.graph.switches.set(tid, changes),
    fault: (...faults) => simulator.graph.faults.add(faults.map((fault) => ({ tid, ...fault }))),
    ask: async (mode = "delta") => {
      const requested = { runId: ambient.ulid(), mode, cause: "manual", at: ambient.now() } as const;
      await commit(stage.needs, await scene.head(), {
        advance: (head) => ({ ...head, requested, wakeAt: ambient.now() }),
      });
    },
    sync: async (mode = "delta") => {
      const { sequence } = await scene.head();
      const mark = simulator.graph.log.mark();
      const runs = await store.list(connectionId, "run", { limit: 1 });
      pages = [];
      await stage.sync(connectionId, mode);
      const head = await scene.head();
      if (head.lastRound && head.lastRound.endedAt !== observed) {
        observed = head.lastRound.endedAt;
        oracle.observe(directory);
      }
      const [run = null] = await store.list(connectionId, "run", { limit: 1 });
      return {
        run: run?.id === runs[0]?.id ? null : run,
        entries: await scene.entriesSince(sequence),
        head,
        requests: simulator.graph.log.since(mark).filter((request) => request.tid === tid),
        pages,
      };
    },
    step: () => work(stage.needs)({ connectionId, receivedAt: ambient.now() }).catch(() => "thrown" as const),
    nextStep: async () => {
      const { wakeAt } = await scene.head();
      if (wakeAt === null) throw new Error("the connection waits for nothing");
      ambient.advance(Math.max(0, wakeAt - ambient.now()) + 1);
      return scene.step();
    },
    head: async () => (await store.read(connectionId, "head", ids.head))!,
    connection: async () => (await store.read(connectionId, "connection", ids.connection))!,
    lay: async ({ head = {}, settings }) => {
      const { _etag: etag, ...doc } = await scene.connection();
      await commit(stage.needs, await scene.head(), {
        advance: (fresh) => ({ ...fresh, ...head }),
        writes: settings ? [{ op: "replace", etag, doc: { ...doc, settings: { ...doc.settings, ...settings } } }] : [],
      });
    },
    personId: idOf,
    stored: async (number) => {
      const doc = await store.read(connectionId, "person", ids.person(idOf(number)));
      if (!doc) return null;
      const { record } = knownPerson(context.ring, doc);
      if (!record) throw new Error(`of person ${number} only a stub is left`);
      return { state: doc.state, record };
    },
    members: async (number) => {
      const shards = await store.list(connectionId, "members", { limit: 500 });
      return shards
        .filter((shard) => shard.groupId === guid(number))
        .flatMap((shard) => shard.members.map((id) => numberOf.get(id) ?? -1))
        .toSorted((a, b) => a - b);
    },
    held: () => held(store, context),
    entriesSince: async (sequence) =>
      (await readLog(store, connectionId)).flatMap(entriesOf).filter((entry) => entry.sequence > sequence),
    agrees: async () => {
      const view = expected(oracle.view(), context);
      expect(await held(store, context)).toEqual(view);
      expect(await replay(store, context)).toEqual(view);
    },
  };
  scene.change(...before);
  if (options.traits) scene.traits(options.traits);
  return scene;
};

/** Where the object came up in the feed; a trap shows in how often, in what order and with what. */
export const appearances = ({ pages }: Synced, feed: Feed, number: number): RawObject[] =>
  pages.flatMap((page) => (page.feed === feed ? page.objects.filter(({ id }) => id === guid(number)) : []));

/** Numbers of the pages of that feed on which the object came up. */
export const pagesOf = ({ pages }: Synced, feed: Feed, number: number): number[] =>
  pages
    .filter((page) => page.feed === feed)
    .flatMap(({ objects }, at) => (objects.some(({ id }) => id === guid(number)) ? [at] : []));

/** Everything but these, as if Graph had left them out. */
export const without =
  (...left: number[]) =>
  (_feed: Feed, objects: RawObject[]): RawObject[] => {
    const missing = new Set(left.map(guid));
    return objects.filter(({ id }) => !missing.has(id));
  };

/** Member entries of a group as they came, `+` or `-` before the number. */
export const told = (synced: Synced, groupNumber: number): string[] =>
  appearances(synced, "groups", groupNumber).flatMap(({ members = [] }) =>
    members.map(({ id, removed }) => `${removed ? "-" : "+"}${Number.parseInt(id.slice(-12), 16)}`),
  );

/** Requests for a list of members. */
export const memberReads = ({ requests }: Synced): number =>
  requests.filter(({ path }) => path === "/groups/{id}/members").length;

/** `person created`, `members changed`, ... */
export const kinds = (entries: readonly EntryDraft[]): string[] => entries.map(({ kind, op }) => `${kind} ${op}`);
