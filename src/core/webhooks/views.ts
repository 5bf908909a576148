/** How the vendor's endpoints are with a connection, and what somebody can do about it: try one, or have it told again. */
import { z } from "zod";
import { type Ambient, iso } from "../ambient.ts";
import { readHead } from "../connections/change.ts";
import type { Caller } from "../context.ts";
import { AppError } from "../errors.ts";
import type { Stored } from "../store/documents.ts";
import type { HintQueue } from "../store/ports.ts";
import { openReadable, type ViewNeeds } from "../views/readable.ts";
import { endpointsOf, type WebhookEndpoint } from "./endpoints.ts";
import { signedMessage } from "./message.ts";
import type { DeliveryRow, WebhookSender, WebhookStore } from "./ports.ts";
import { isTaken, newRow, pauseBetweenTests, reached, rewound, withRecord } from "./rules.ts";

const Delivery = z.strictObject({
  at: z.iso.datetime(),
  kind: z.enum(["event", "test"]),
  sequence: z.int(),
  outcome: z.enum(["taken", "refused", "timeout", "unreachable", "address-refused"]),
  /** Of the answer, of which nothing else is read; null = there was none. */
  status: z.int().nullable(),
  milliseconds: z.int(),
});

export const WebhookView = z.strictObject({
  endpoint: z.string(),
  /** `live`: knows everything. `pending`: is about to be told. `failing`: is tried again. `dead`: was given up; a replay begins again. */
  state: z.enum(["live", "pending", "failing", "dead"]),
  /** The endpoint has taken an event with this sequence. */
  sequence: z.int(),
  /** How many changes it has not heard of. */
  lag: z.int(),
  failedAttempts: z.int(),
  nextAttemptAt: z.iso.datetime().nullable(),
  failingSince: z.iso.datetime().nullable(),
  deadSince: z.iso.datetime().nullable(),
  /** The last 20, newest first. */
  deliveries: z.array(Delivery),
});
export type WebhookView = z.infer<typeof WebhookView>;

export const WebhookTest = Delivery;
export type WebhookTest = z.infer<typeof WebhookTest>;

export const ReplayWebhook = z.strictObject({ after: z.int().min(0) });
export type ReplayWebhook = z.infer<typeof ReplayWebhook>;

export interface WebhookNeeds extends ViewNeeds {
  ambient: Pick<Ambient, "now" | "ulid">;
  webhooks: WebhookStore;
  sender: WebhookSender;
  endpoints: readonly WebhookEndpoint[];
  deliveries: HintQueue;
}

const maxAttempts = 5;

export const listWebhooks =
  (needs: WebhookNeeds) =>
  async (caller: Caller, connectionId: string): Promise<WebhookView[]> => {
    await openReadable(needs)(caller.workspaceId, connectionId);
    const { sequence } = await readHead(needs.store, connectionId);
    const rows = await needs.webhooks.list(connectionId);
    return endpointsOf(needs.endpoints, caller.workspaceId).map(({ id }) =>
      webhookView(rows.find(({ endpoint }) => endpoint === id) ?? newRow(id), sequence),
    );
  };

/** Sends one event of its own kind now. It goes into the log of deliveries and changes nothing else. */
export const testWebhook =
  (needs: WebhookNeeds) =>
  async (caller: Caller, connectionId: string, endpointId: string): Promise<WebhookTest> => {
    const { ambient, sender } = needs;
    const endpoint = await findEndpoint(needs, caller, connectionId, endpointId);
    const { sequence } = await readHead(needs.store, connectionId);
    await changeRow(needs, connectionId, endpointId, (row) => {
      const again = (row.testedAt ?? 0) + pauseBetweenTests - ambient.now();
      if (again > 0) throw new AppError("rate-limited", { retryAfterSeconds: Math.ceil(again / 1000) });
      return { ...row, testedAt: ambient.now() };
    });
    const event = { type: "webhook.test", workspace: caller.workspaceId, connection: connectionId, sequence } as const;
    const message = signedMessage(endpoint, { id: `msg_${ambient.ulid()}`, now: ambient.now(), event });
    const answer = await sender.send(endpoint.url, message.headers, message.body);
    const record = { kind: "test", at: ambient.now(), sequence, ...answer } as const;
    await changeRow(needs, connectionId, endpointId, (row) => ({ ...row, log: withRecord(row.log, record) }));
    return deliveryView(record);
  };

/** The endpoint is told again, at once, when there are changes after `after`; also one that was given up. */
export const replayWebhook =
  (needs: WebhookNeeds) =>
  async (caller: Caller, connectionId: string, endpointId: string, { after }: ReplayWebhook): Promise<WebhookView> => {
    const { ambient, store, deliveries } = needs;
    await findEndpoint(needs, caller, connectionId, endpointId);
    const { sequence } = await readHead(store, connectionId);
    if (after > sequence)
      throw new AppError("invalid-request", { field: "after", detail: "There is no such change yet." });
    const row = await changeRow(needs, connectionId, endpointId, (current) => rewound(current, after));
    const now = ambient.now();
    await store.tellNext(connectionId, now, null);
    // The timer sends another one.
    await deliveries.send({ connectionId, receivedAt: now }).catch(() => undefined);
    return webhookView(row, sequence);
  };

/** Somebody else's endpoint does not exist. */
const findEndpoint = async (
  needs: WebhookNeeds,
  { workspaceId }: Caller,
  connectionId: string,
  endpointId: string,
): Promise<WebhookEndpoint> => {
  await openReadable(needs)(workspaceId, connectionId);
  const endpoint = endpointsOf(needs.endpoints, workspaceId).find(({ id }) => id === endpointId);
  if (!endpoint) throw new AppError("webhook-not-found");
  return endpoint;
};

const changeRow = async (
  { webhooks }: Pick<WebhookNeeds, "webhooks">,
  connectionId: string,
  endpoint: string,
  change: (row: DeliveryRow) => DeliveryRow,
): Promise<Stored<DeliveryRow>> => {
  for (let attempt = 0; attempt < maxAttempts; attempt++) {
    const known = await webhooks.read(connectionId, endpoint);
    const changed = await webhooks.put(connectionId, change(known ?? newRow(endpoint)), known?._etag ?? null);
    if (changed) return changed;
  }
  throw new AppError("changed-meanwhile");
};

const webhookView = (row: DeliveryRow, head: number): WebhookView => {
  const sequence = reached(row, head);
  const isWaited = sequence < head && row.deadSince === null && row.nextAt !== null;
  return {
    endpoint: row.endpoint,
    state: stateOf(row, head - sequence),
    sequence,
    lag: head - sequence,
    failedAttempts: row.attempts,
    nextAttemptAt: isWaited ? isoOrNull(row.nextAt) : null,
    failingSince: isoOrNull(row.failingSince),
    deadSince: isoOrNull(row.deadSince),
    deliveries: row.log.map(deliveryView),
  };
};

const stateOf = (row: DeliveryRow, lag: number): WebhookView["state"] => {
  if (row.deadSince !== null) return "dead";
  if (row.failingSince !== null) return "failing";
  return lag > 0 ? "pending" : "live";
};

const isoOrNull = (at: number | null): string | null => (at === null ? null : iso(at));

const deliveryView = ({
  at,
  kind,
  sequence,
  status,
  failure,
  milliseconds,
}: DeliveryRow["log"][number]): WebhookTest => ({
  at: iso(at),
  kind,
  sequence,
  outcome: failure ?? (isTaken({ status }) ? "taken" : "refused"),
  status,
  milliseconds,
});
