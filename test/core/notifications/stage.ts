/**
 * What an installation does about notifications, with the real parts: ledger in the database, subscriptions at the simulated
 * Graph, an address that it validates and posts to, and the messages that come of that. The queues are lists that a test works off.
 */
import { afterAll, beforeAll } from "vitest";
import { sharedStore } from "../../../src/adapters/cosmos/shared-store.ts";
import { subscriptionLedger } from "../../../src/adapters/cosmos/subscription-ledger.ts";
import { appTokens } from "../../../src/adapters/entra/app-tokens.ts";
import { graphResource } from "../../../src/adapters/entra/registration.ts";
import { graphClient } from "../../../src/adapters/graph/client.ts";
import { subscriptions } from "../../../src/adapters/graph/subscriptions.ts";
import { assertSubscriptions } from "../../../src/adapters/graph/subscriptions-only.ts";
import type { NotificationMessage } from "../../../src/core/jobs.ts";
import { notificationKey } from "../../../src/core/notifications/client-state.ts";
import { type FeedResource, feedKey } from "../../../src/core/notifications/feed.ts";
import { receive } from "../../../src/core/notifications/intake.ts";
import { type Notifications, notifications } from "../../../src/core/notifications/notifications.ts";
import type { PassedOn } from "../../../src/core/notifications/pass-on.ts";
import type { LedgerRow, TendingQueue } from "../../../src/core/notifications/ports.ts";
import type { Tended, TendNeeds } from "../../../src/core/notifications/tend.ts";
import { listen } from "../../../src/local/simulator/listen.ts";
import type { Subscription } from "../../../src/local/simulator/world.ts";
import { createCertificateAuthority, trustInThisProcess } from "../../../src/local/tls.ts";
import type { Stage } from "../../support/sync-stage.ts";
import { openScene, type Scene, type SceneOptions, withStage } from "../directory/trap-scene.ts";

type Message = NotificationMessage["notification"];

export interface Listening {
  stage: Stage;
  /** What a test changes of it is as it was in the next. */
  needs: TendNeeds & { tending: TendingQueue };
  /** As built of `needs` as they are. */
  heard(): Notifications;
  messages: Message[];
  /** A connection that was read once and is automatic from now on; no turn has enlisted it yet. */
  scene(options?: SceneOptions): Promise<Scene>;
  /** As `scene`, with the subscriptions made and the round that follows behind it. */
  hearing(options?: SceneOptions): Promise<Scene>;
  /** Looks at the scene's subscriptions, due or not. */
  tend(s: Scene, resource?: FeedResource): Promise<Tended>;
  row(s: Scene, resource?: FeedResource): Promise<LedgerRow | null>;
  /** What Graph has for the tenant. */
  held(s: Scene): Subscription[];
  /** Waits for what Graph still has to post, then passes all messages on. */
  passOn(): Promise<PassedOn[]>;
  /** Works off what is due without any message, as the timer does. */
  tick(): Promise<Tended[]>;
  /** Time goes by, for Microsoft too. */
  pass(milliseconds: number): void;
}

export const minute = 60_000;
export const hour = 60 * minute;
export const day = 24 * hour;

export const withNotifications = (seed: number, started: (listening: Listening) => void): void => {
  let stage: Stage;
  let close = async (): Promise<void> => {};
  withStage(seed, (own) => {
    stage = own;
  });
  beforeAll(async () => {
    const listening = await listenFor(stage);
    close = listening.close;
    started(listening);
  });
  afterAll(() => close());
};

const listenFor = async (stage: Stage): Promise<Listening & { close(): Promise<void> }> => {
  const { ambient, simulator, handles, store, clientId } = stage;
  const { now } = ambient;
  const { advance } = ambient;
  ambient.advance = (milliseconds) => {
    advance(milliseconds);
    simulator.commands.clock.run({ advanceSeconds: milliseconds / 1000 });
  };
  const authority = await createCertificateAuthority();
  trustInThisProcess(authority.caPem);
  const keys = [notificationKey(ambient.randomBytes(32))] as const;
  const messages: Message[] = [];
  // Without the gate's memory, so that each post is one message: the gate has its own tests.
  const take = (body: unknown) =>
    receive({ keys: listening.needs.keys, queue: { send: async (m) => void messages.push(m.notification) }, now })(
      body,
    );
  const endpoint = await listen({
    tls: await authority.issueServerCertificate(),
    handle: async ({ url, body }) => {
      const token = url.searchParams.get("validationToken");
      if (token !== null) return { status: 200, headers: { "content-type": "text/plain" }, body: token };
      await take(JSON.parse(body));
      return { status: 202, body: "" };
    },
  });
  const address = `https://localhost:${endpoint.port}/notifications`;
  const tokens = appTokens(
    { read: { clientId, credential: { kind: "secret", secret: "a development secret" } } },
    { authority: simulator.entraUrl, resource: graphResource(simulator.graphUrl), now },
  );
  const client = graphClient({
    baseUrl: simulator.graphUrl,
    tier: "read",
    assertAllowed: assertSubscriptions,
    clientId,
    tokens,
    shared: sharedStore(handles.shared),
    now,
  });
  const tending: string[] = [];
  const fresh = (): Listening["needs"] => ({
    ambient,
    store,
    hints: stage.needs.hints,
    ledger: subscriptionLedger(handles.shared),
    tending: { send: async (feed) => void tending.push(feed) },
    subscriptions: subscriptions(client, {
      notificationUrl: `${address}/graph`,
      lifecycleNotificationUrl: `${address}/lifecycle`,
      now,
    }),
    keys,
    clientId,
    notificationUrl: `${address}/graph`,
  });

  const feedOf = (s: Scene, resource: FeedResource): string => feedKey({ clientId, tenantId: s.tid, resource });
  /** What another test has left is not to be found due in this one. */
  const clear = async (): Promise<void> => {
    const { ledger } = listening.needs;
    for (const feed of await ledger.due(Number.MAX_SAFE_INTEGER, 1000)) {
      const row = await ledger.read(feed);
      if (row) await ledger.remove(feed, row._etag);
    }
  };
  const listening: Listening = {
    stage,
    needs: fresh(),
    messages,
    heard: () => notifications(listening.needs),
    scene: async (options) => {
      listening.needs = fresh();
      messages.length = 0;
      if (!options?.sameTenantAs) await clear();
      const s = await openScene(stage, options);
      await s.sync("full");
      const later = now() + hour;
      await s.lay({ settings: { automatic: true, intervalMinutes: 60 }, head: { dueAt: later, wakeAt: later } });
      stage.needs = { ...stage.needs, enlist: (doc, enlisted) => listening.heard().enlist(doc, enlisted) };
      return s;
    },
    hearing: async (options) => {
      const s = await listening.scene(options);
      await s.step();
      for (const resource of ["users", "groups"] as const) await listening.tend(s, resource);
      if ((await s.head()).notified) await s.nextStep();
      listening.pass(minute);
      return s;
    },
    tend: (s, resource = "users") => listening.heard().tend(feedOf(s, resource)),
    row: async (s, resource = "users") => {
      const found = await listening.needs.ledger.read(feedOf(s, resource));
      if (!found) return null;
      const { _etag, ...row } = found;
      return row;
    },
    held: (s) => simulator.commands.subscriptions.run({ tid: s.tid }).subscriptions,
    passOn: async () => {
      listening.pass(1000);
      await simulator.notifier.settled();
      const passed: PassedOn[] = [];
      for (const message of messages.splice(0)) passed.push(await listening.heard().passOn(message));
      return passed;
    },
    tick: async () => {
      tending.length = 0;
      await listening.heard().wakeSubscriptions();
      const tended: Tended[] = [];
      for (const feed of tending.splice(0)) tended.push(await listening.heard().tend(feed));
      return tended;
    },
    pass: (milliseconds) => ambient.advance(milliseconds),
  };
  return Object.assign(listening, { close: () => endpoint.close() });
};
