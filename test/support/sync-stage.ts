/**
 * One process with the real parts a sync needs - database server, simulated Microsoft over TLS, adapters, worker - and the
 * means to compare what is stored with what the oracle expects. Consent is left out: the connection is laid down active.
 */
import { randomBytes } from "node:crypto";
import { monotonicFactory } from "ulid";
import { type CosmosHandles, openCosmos } from "../../src/adapters/cosmos/client.ts";
import { directoryStore } from "../../src/adapters/cosmos/directory-store.ts";
import { sharedStore } from "../../src/adapters/cosmos/shared-store.ts";
import { workStore } from "../../src/adapters/cosmos/work-store.ts";
import { appTokens } from "../../src/adapters/entra/app-tokens.ts";
import { graphResource } from "../../src/adapters/entra/registration.ts";
import { graphClient } from "../../src/adapters/graph/client.ts";
import { directorySource } from "../../src/adapters/graph/directory-source.ts";
import { organization } from "../../src/adapters/graph/organization.ts";
import { directorySearch } from "../../src/adapters/graph/search.ts";
import type { Ambient } from "../../src/core/ambient.ts";
import type { Settings } from "../../src/core/connections/settings.ts";
import type { ConnectionContext } from "../../src/core/context.ts";
import { keyRing, newRingContent } from "../../src/core/crypto/key-ring.ts";
import { seal } from "../../src/core/crypto/seal.ts";
import type { DirectorySearch } from "../../src/core/directory/ports.ts";
import type { WorkerNeeds } from "../../src/core/directory/run/round.ts";
import { work } from "../../src/core/directory/run/worker.ts";
import { selfTest } from "../../src/core/directory/self-test.ts";
import { commit } from "../../src/core/store/commit.ts";
import { type ConnectionDoc, ids, type RunMode } from "../../src/core/store/documents.ts";
import { newHead } from "../../src/core/store/head.ts";
import type { DirectoryStore, Hint } from "../../src/core/store/ports.ts";
import { type CosmosServer, startCosmos } from "../../src/local/cosmos/server.ts";
import { everybody } from "../../src/local/demo/everybody.ts";
import { type Simulator, startSimulator } from "../../src/local/simulator/server.ts";
import { createCertificateAuthority, trustInThisProcess } from "../../src/local/tls.ts";

export const readPermissions = ["User.Read.All", "GroupMember.Read.All", "Organization.Read.All"];

export interface Stage {
  cosmos: CosmosServer;
  handles: CosmosHandles;
  simulator: Simulator;
  store: DirectoryStore;
  ambient: Ambient & { advance(milliseconds: number): void };
  needs: WorkerNeeds;
  search: DirectorySearch;
  hints: { hint: Hint; delaySeconds: number }[];
  clientId: string;
  tenant(options: { users: number; groups: number; seed: number }): string;
  /** Manual and without the guard, unless told otherwise: random life takes away more than a guard lets pass. */
  connect(tid: string, settings?: Partial<Settings>): Promise<{ connectionId: string; context: ConnectionContext }>;
  /** Asks for a run and works until the connection has nothing more to do; time is moved over waits. */
  sync(connectionId: string, mode?: RunMode): Promise<void>;
  settle(connectionId: string): Promise<void>;
  /** One hint only. */
  settleOnce(connectionId: string): Promise<void>;
  close(): Promise<void>;
}

/** Everybody and every group, as they are; manual and without the guard: random life takes away more than a guard lets pass. */
export const wideSettings: Settings = {
  ...everybody,
  automatic: false,
  guard: { ...everybody.guard, offUntil: "9999-01-01T00:00:00Z" },
};

export const makeAmbient = (): Stage["ambient"] => {
  let offset = 0;
  const ulid = monotonicFactory();
  return {
    now: () => Date.now() + offset,
    randomBytes: (count) => randomBytes(count),
    ulid: () => ulid().toLowerCase(),
    advance: (milliseconds) => {
      offset += milliseconds;
    },
  };
};

export const startStage = async (options: { seed?: number } = {}): Promise<Stage> => {
  const authority = await createCertificateAuthority();
  trustInThisProcess(authority.caPem);
  const tls = await authority.issueServerCertificate();
  const ambient = makeAmbient();
  const [cosmos, simulator] = await Promise.all([
    startCosmos({ file: ":memory:", now: ambient.now }),
    startSimulator({ tls, seed: options.seed ?? 1 }),
  ]);
  const handles = openCosmos(cosmos);
  const store = directoryStore(handles.directory);
  const clientId = "11111111-2222-4333-8444-555555555555";
  simulator.commands["register-app"].run({
    clientId,
    displayName: "Read",
    secrets: ["a development secret"],
    applicationPermissions: readPermissions,
  });
  const tokens = appTokens(
    { read: { clientId, credential: { kind: "secret", secret: "a development secret" } } },
    { authority: simulator.entraUrl, resource: graphResource(simulator.graphUrl), now: ambient.now },
  );
  const client = graphClient({
    baseUrl: simulator.graphUrl,
    tier: "read",
    clientId,
    tokens,
    shared: sharedStore(handles.shared),
    now: ambient.now,
  });
  const hints: Stage["hints"] = [];
  const contexts = new Map<string, ConnectionContext>();
  const source = directorySource(client);
  const needs: WorkerNeeds = {
    ambient,
    store,
    work: workStore(handles.work),
    source,
    selfTest: selfTest({
      gateway: {
        roles: (tier, tenant) => tokens.roles(tier, tenant, { fresh: true }),
        organization: organization(client),
      },
      source,
    }),
    leaseMilliseconds: 120_000,
    sliceMilliseconds: 240_000,
    hints: {
      send: async (hint, delaySeconds = 0) => {
        hints.push({ hint, delaySeconds });
      },
    },
    contextFor: async (doc) => ({ ...(contexts.get(doc.connectionId) as ConnectionContext), settings: doc.settings }),
    finishClosing: async () => undefined,
    finishErasing: async () => undefined,
    reviewTiers: async (head, doc) => ({ head, doc }),
  };
  const worker = (hint: Hint) => work(stage.needs)(hint);

  const stage: Stage = {
    cosmos,
    handles,
    simulator,
    store,
    ambient,
    needs,
    search: directorySearch(client),
    hints,
    clientId,
    tenant: ({ users, groups, seed }) => {
      const { tid } = simulator.commands["create-tenant"].run({ users, groups, seed, domain: `t${seed}.example` });
      simulator.commands.grant.run({ tid, clientId });
      return tid;
    },
    connect: async (tid, chosen = {}) => {
      const connectionId = ambient.ulid();
      const ring = keyRing(newRingContent(ambient));
      const settings: Settings = { ...wideSettings, ...chosen };
      const context: ConnectionContext = { connectionId, workspaceId: "w1", tid, ring, settings };
      contexts.set(connectionId, context);
      const off = { wanted: false, state: "off", missing: [] } as const;
      const doc: ConnectionDoc = {
        id: ids.connection,
        kind: "connection",
        connectionId,
        v: 1,
        workspaceId: "w1",
        displayName: seal(
          ambient,
          ring.sealing,
          { container: "directory", partition: connectionId, document: "connection", fields: "displayName" },
          "Test",
        ),
        state: "active",
        attention: null,
        quarantine: null,
        tid,
        tiers: {
          read: { wanted: true, state: "active", missing: [] },
          write: { ...off, missing: [] },
          licences: { ...off, missing: [] },
          signIn: { ...off, missing: [] },
          calendar: { ...off, missing: [] },
        },
        settings,
        settingsVersion: 1,
        settingsBy: null,
        blacklist: { version: 0, entries: 0 },
        productGroups: { version: 0, count: 0 },
        wizard: { done: [], finishedAt: new Date(ambient.now()).toISOString() },
        createdAt: new Date(ambient.now()).toISOString(),
        closesAt: null,
      };
      const outcome = await store.write(connectionId, [
        { op: "create", doc: newHead(connectionId, "laid-down") },
        { op: "create", doc },
      ]);
      if (!outcome.ok) throw new Error("the connection could not be laid down");
      return { connectionId, context };
    },
    sync: async (connectionId, mode = "delta") => {
      const head = await store.read(connectionId, "head", ids.head);
      if (!head) throw new Error("no head");
      const requested = { runId: ambient.ulid(), mode, cause: "manual" as const, at: ambient.now() };
      await commit({ ambient, store }, head, { advance: (fresh) => ({ ...fresh, requested, wakeAt: ambient.now() }) });
      await stage.settle(connectionId);
    },
    settleOnce: async (connectionId) => {
      await worker({ connectionId, receivedAt: ambient.now() });
    },
    settle: async (connectionId) => {
      for (let turn = 0; turn < 500; turn++) {
        const head = await store.read(connectionId, "head", ids.head);
        if (!head || head.wakeAt === null) return;
        const wait = Math.max(head.wakeAt, head.owner === null ? 0 : head.leaseUntil) - ambient.now();
        if (wait > 0) ambient.advance(wait + 1);
        hints.length = 0;
        // What a worker throws goes to the host; the timer's next hint finds the connection again.
        await worker({ connectionId, receivedAt: ambient.now() }).catch(() => undefined);
      }
      throw new Error("the connection does not come to rest");
    },
    close: async () => {
      handles.dispose();
      await Promise.all([cosmos.close(), simulator.close()]);
    },
  };
  return stage;
};
