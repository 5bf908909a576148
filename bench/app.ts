/**
 * The app as a benchmark runs it: the real adapters and the real worker against services in other processes. Consent is left
 * out: a connection is laid down active.
 */
import { monotonicFactory } from "ulid";
import { openCosmos } from "../src/adapters/cosmos/client.ts";
import { directoryStore } from "../src/adapters/cosmos/directory-store.ts";
import { sharedStore } from "../src/adapters/cosmos/shared-store.ts";
import { workStore } from "../src/adapters/cosmos/work-store.ts";
import { appTokens } from "../src/adapters/entra/app-tokens.ts";
import { graphResource } from "../src/adapters/entra/registration.ts";
import { graphClient } from "../src/adapters/graph/client.ts";
import { directorySource } from "../src/adapters/graph/directory-source.ts";
import type { Ambient } from "../src/core/ambient.ts";
import type { Settings } from "../src/core/connections/settings.ts";
import type { ConnectionContext } from "../src/core/context.ts";
import { keyRing, newRingContent } from "../src/core/crypto/key-ring.ts";
import { pooledRandomBytes, randomFraction } from "../src/core/crypto/random-bytes.ts";
import { seal } from "../src/core/crypto/seal.ts";
import { type Worked, work } from "../src/core/directory/run/worker.ts";
import { wake } from "../src/core/directory/wake.ts";
import { commit } from "../src/core/store/commit.ts";
import {
  type ConnectionDoc,
  type Head,
  ids,
  type RunDoc,
  type RunMode,
  type Stored,
} from "../src/core/store/documents.ts";
import { newHead } from "../src/core/store/head.ts";
import type { Hint, HintQueue } from "../src/core/store/ports.ts";
import { everybody } from "../src/local/demo/everybody.ts";
import { type Meter, meteredSource, meteredStore, meteredWork, newMeter } from "./meter.ts";
import { type Addresses, registrationSecret } from "./services.ts";

export interface App {
  addresses: Addresses;
  ambient: Ambient;
  handles: ReturnType<typeof openCosmos>;
  /** What the ports of the app have done since the meter was last set to zero. */
  meter: Meter;
  token(tid: string): Promise<string>;
  /** Not automatic and with everybody, unless told otherwise. */
  connect(tid: string, settings?: Settings): Promise<string>;
  /** Asks for a run, and works until it has ended; time is moved over waits. Null: nothing was to be done. */
  run(connectionId: string, mode: RunMode): Promise<RunDoc | null>;
  /** A full run that has something to do. */
  importAll(connectionId: string): Promise<RunDoc>;
  /** Makes a round due, as the schedule would. */
  makeDue(connectionId: string): Promise<void>;
  /** One hint; whether what was due has been done. */
  hint(connectionId: string): Promise<boolean>;
  /** What the host does with a message of the queue. */
  work(hint: Hint): Promise<Worked>;
  /** What the timer does; how many were due. */
  wake(): Promise<number>;
  /** Graph requests for the connection since the start. */
  graphRequests(connectionId: string): number;
  head(connectionId: string): Promise<Stored<Head>>;
  /** Hints until nothing is due any more. */
  settle(connectionId: string): Promise<Stored<Head>>;
  /** Never given twice. */
  uniqueNumber(): number;
  close(): void;
}

export interface Clock {
  now: () => number;
  advance: (milliseconds: number) => void;
}

const realClock = (): Clock => {
  let offset = 0;
  return {
    now: () => Date.now() + offset,
    advance: (milliseconds) => {
      offset += milliseconds;
    },
  };
};

const noQueue: HintQueue = { send: () => Promise.resolve() };

export const openApp = (addresses: Addresses, clock: Clock = realClock(), hints: HintQueue = noQueue): App => {
  let numbers = 0;
  const randomBytes = pooledRandomBytes();
  const ulid = monotonicFactory(randomFraction(randomBytes));
  const { now } = clock;
  const ambient: Ambient = { now, randomBytes, ulid: () => ulid().toLowerCase() };
  const handles = openCosmos(addresses.cosmos);
  const { clientId } = addresses;
  const tokens = appTokens(
    { read: { clientId, credential: { kind: "secret", secret: registrationSecret } } },
    { authority: addresses.entraUrl, resource: graphResource(addresses.graphUrl), now },
  );
  const client = graphClient({
    baseUrl: addresses.graphUrl,
    tier: "read",
    clientId,
    tokens,
    shared: sharedStore(handles.shared),
    now,
  });
  const meter = newMeter();
  const store = meteredStore(directoryStore(handles.directory), meter);
  const contexts = new Map<string, ConnectionContext>();
  const source = directorySource(client);
  const worker = work({
    ambient,
    store,
    work: meteredWork(workStore(handles.work), meter),
    source: meteredSource(source, meter),
    leaseMilliseconds: 120_000,
    sliceMilliseconds: 240_000,
    hints,
    contextFor: (doc) => {
      const context = contexts.get(doc.connectionId);
      return context
        ? Promise.resolve({ ...context, settings: doc.settings })
        : Promise.reject(new Error("The connection was laid down by another process."));
    },
    selfTest: () => Promise.resolve(null),
    finishClosing: () => Promise.resolve(),
    finishErasing: () => Promise.resolve(),
    reviewTiers: (head, doc) => Promise.resolve({ head, doc }),
  });
  const headOf = async (connectionId: string): Promise<Stored<Head>> => {
    const head = await store.read(connectionId, "head", ids.head);
    if (!head) throw new Error("The connection has no head.");
    return head;
  };

  const app: App = {
    addresses,
    ambient,
    handles,
    meter,
    token: (tid) => tokens.token("read", tid),
    connect: async (tid, settings = { ...everybody, automatic: false }) => {
      const connectionId = ambient.ulid();
      const ring = keyRing(newRingContent(ambient));
      contexts.set(connectionId, { connectionId, workspaceId: "bench", tid, ring, settings });
      const doc = connectionDoc(ambient, { connectionId, tid, settings, ring });
      const laid = await store.write(connectionId, [
        { op: "create", doc: newHead(connectionId, "laid-down") },
        { op: "create", doc },
      ]);
      if (!laid.ok) throw new Error("The connection could not be laid down.");
      return connectionId;
    },
    run: async (connectionId, mode) => {
      const runId = ambient.ulid();
      const requested = { runId, mode, cause: "manual" as const, at: now() };
      const advance = (head: Head): Head => ({ ...head, requested, wakeAt: now() });
      await commit({ ambient, store }, await headOf(connectionId), { advance });
      const { lastRound } = await app.settle(connectionId);
      if (lastRound?.outcome !== "done" && lastRound?.outcome !== "nothing") throw new Error("The run has failed.");
      return await store.read(connectionId, "run", ids.run(runId));
    },
    importAll: async (connectionId) => {
      const run = await app.run(connectionId, "full");
      if (!run) throw new Error("There was nothing to import.");
      return run;
    },
    makeDue: async (connectionId) => {
      const advance = (head: Head): Head => ({ ...head, dueAt: now(), wakeAt: now() });
      await commit({ ambient, store }, await headOf(connectionId), { advance });
    },
    hint: async (connectionId) => (await worker({ connectionId, receivedAt: now() })) === "done",
    work: worker,
    wake: wake({ ambient, store, hints }),
    graphRequests: (connectionId) => source.requests(connectionId),
    head: headOf,
    settle: async (connectionId) => {
      for (let turn = 0; turn < 500; turn++) {
        const head = await headOf(connectionId);
        if (head.wakeAt === null) return head;
        const wait = Math.max(head.wakeAt, head.owner === null ? 0 : head.leaseUntil) - now();
        if (wait > 0) clock.advance(wait + 1);
        await worker({ connectionId, receivedAt: now() });
      }
      throw new Error("The connection does not come to rest.");
    },
    uniqueNumber: () => ++numbers,
    close: () => handles.dispose(),
  };
  return app;
};

const connectionDoc = (
  ambient: Ambient,
  { connectionId, tid, settings, ring }: Pick<ConnectionContext, "connectionId" | "tid" | "settings" | "ring">,
): ConnectionDoc => {
  const place = {
    container: "directory",
    partition: connectionId,
    document: "connection",
    fields: "displayName",
  } as const;
  const off = () => ({ wanted: false, state: "off" as const, missing: [] });
  return {
    id: ids.connection,
    kind: "connection",
    connectionId,
    v: 1,
    workspaceId: "bench",
    displayName: seal(ambient, ring.sealing, place, "Benchmark"),
    state: "active",
    attention: null,
    quarantine: null,
    tid,
    tiers: {
      read: { wanted: true, state: "active", missing: [] },
      write: off(),
      licences: off(),
      signIn: off(),
      calendar: off(),
    },
    settings,
    settingsVersion: 1,
    settingsBy: null,
    blacklist: { version: 0, entries: 0 },
    productGroups: { version: 0, count: 0 },
    wizard: { done: [], finishedAt: new Date(0).toISOString() },
    createdAt: new Date(ambient.now()).toISOString(),
    closesAt: null,
  };
};

type BarePage = Record<string, unknown> & { value: unknown[] };

/** The least a program can do to read pages of Graph: fetch, parse, follow the link. */
export async function* barePages(app: App, tid: string, path: string): AsyncGenerator<BarePage> {
  const headers = { authorization: `Bearer ${await app.token(tid)}` };
  for (let link: unknown = `${app.addresses.graphUrl}/${path}`; typeof link === "string"; ) {
    const answer = await fetch(link, { headers });
    if (!answer.ok) throw new Error(`Graph answered ${answer.status} to a plain read.`);
    const page = (await answer.json()) as BarePage;
    yield page;
    link = page["@odata.nextLink"];
  }
}
