/** Connections of two workspaces in a real database, two endpoints over TLS, and time in the test's hands. */

import { z } from "zod";
import { type CosmosHandles, openCosmos } from "../../../src/adapters/cosmos/client.ts";
import { directoryStore } from "../../../src/adapters/cosmos/directory-store.ts";
import { webhookStore } from "../../../src/adapters/cosmos/webhook-store.ts";
import { httpsSender } from "../../../src/adapters/webhooks/https-sender.ts";
import { draftEntry } from "../../../src/core/audit/change-log.ts";
import type { Caller } from "../../../src/core/context.ts";
import { keyRing, newRingContent } from "../../../src/core/crypto/key-ring.ts";
import { commit } from "../../../src/core/store/commit.ts";
import type { Head, Stored } from "../../../src/core/store/documents.ts";
import { newHead } from "../../../src/core/store/head.ts";
import type { Hint } from "../../../src/core/store/ports.ts";
import { type Delivered, deliver } from "../../../src/core/webhooks/deliver.ts";
import { type WebhookEndpoint, webhookEndpoints } from "../../../src/core/webhooks/endpoints.ts";
import { wakeDeliveries } from "../../../src/core/webhooks/hints.ts";
import type { WebhookSender } from "../../../src/core/webhooks/ports.ts";
import { listWebhooks, replayWebhook, testWebhook } from "../../../src/core/webhooks/views.ts";
import { startCosmos } from "../../../src/local/cosmos/server.ts";
import { newSecret, type Received, type Receiver, startReceiver } from "../../support/webhook-receiver.ts";
import { testAmbient } from "../test-ambient.ts";

export const caller = (workspaceId = "w1"): Caller => ({
  workspaceId,
  subject: "ada",
  permissions: new Set(),
  ip: "203.0.113.7",
  correlationId: "c-1",
});

export type Stage = Awaited<ReturnType<typeof openStage>>;

export const openStage = async () => {
  const ambient = testAmbient();
  const server = await startCosmos({ file: ":memory:" });
  const [crm, billing] = await Promise.all([startReceiver(), startReceiver()]);
  const secrets = { crm: [newSecret(), newSecret(24)], billing: [newSecret(64)] };
  const endpoints: WebhookEndpoint[] = webhookEndpoints(z.string()).parse([
    { id: "crm", url: crm.url, secrets: secrets.crm },
    { id: "billing", url: billing.url, secrets: secrets.billing, workspaces: ["w1"] },
  ]);
  const handles: CosmosHandles[] = [];
  const ring = keyRing(newRingContent(ambient));
  const hinted: { hint: Hint; delaySeconds: number }[] = [];
  const sender = httpsSender({ allowLoopback: true });

  /** Everything that a process of the app has, anew. */
  const start = (changes: { sender?: WebhookSender; endpoints?: WebhookEndpoint[] } = {}) => {
    const cosmos = openCosmos(server);
    handles.push(cosmos);
    const needs = {
      ambient,
      store: directoryStore(cosmos.directory),
      webhooks: webhookStore(cosmos.state),
      sender,
      endpoints,
      keys: { ring: () => Promise.resolve(ring) },
      deliveries: {
        send: async (hint: Hint, delaySeconds = 0) => void hinted.push({ hint, delaySeconds }),
      },
      ...changes,
    };
    const work = deliver(needs);
    return {
      needs,
      cosmos,
      deliver: (connectionId: string): Promise<Delivered> => work({ connectionId, receivedAt: ambient.now() }),
      wake: wakeDeliveries(needs),
      list: listWebhooks(needs),
      test: testWebhook(needs),
      replay: replayWebhook(needs),
    };
  };
  const app = start();
  const { store } = app.needs;

  const head = async (connectionId: string): Promise<Stored<Head>> => {
    const found = await store.read(connectionId, "head", "head");
    if (!found) throw new Error("there is no head");
    return found;
  };
  const change = async (connectionId: string): Promise<number> => {
    const kind = { kind: "connection", op: "updated", object: "connection", cause: "api" } as const;
    const entries = [draftEntry(ambient, ring, connectionId, kind)];
    const result = await commit({ ambient, store }, await head(connectionId), { entries });
    if (result.outcome !== "committed") throw new Error(result.outcome);
    return result.head.sequence;
  };

  return {
    ambient,
    server,
    secrets,
    crm,
    billing,
    hinted,
    app,
    start,
    head,
    /** An active connection with one change. */
    connect: async (workspaceId = "w1", state = "active"): Promise<string> => {
      const connectionId = ambient.ulid();
      await app.cosmos.directory.items.create({ ...newHead(connectionId, "laid-down") });
      const doc = { id: "connection", kind: "connection", connectionId, v: 1, workspaceId, state };
      const rest = { settings: { automatic: false, paused: false }, wizard: { finishedAt: null } };
      await app.cosmos.directory.items.create({ ...doc, tid: null, tiers: { read: { state: "off" } }, ...rest });
      await change(connectionId);
      return connectionId;
    },
    change,
    /** Moves head without a change, as a checkpoint of a run does. */
    touch: async (connectionId: string): Promise<void> => {
      await commit({ ambient, store }, await head(connectionId), {
        advance: (before) => ({ ...before, attempts: before.attempts + 1 }),
      });
    },
    close: async () => {
      for (const cosmos of handles) cosmos.dispose();
      await Promise.all([server.close(), crm.close(), billing.close()]);
    },
  };
};

export const sequencesOf = ({ received }: Receiver): number[] => received.map((one) => eventOf(one).sequence);

const Event = z.looseObject({ type: z.string(), connection: z.string(), sequence: z.number() });
export const eventOf = ({ body }: Pick<Received, "body">) => Event.parse(JSON.parse(body));
