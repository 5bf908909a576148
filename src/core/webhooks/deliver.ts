/**
 * Tells the endpoints of a connection that it has changes. What has to be told is in head: every commit with entries sets
 * `tellAt`, in its own transaction, and only whoever has looked at all endpoints moves it on, if nothing has happened meanwhile.
 * So any number of hints, lost hints and killed workers come to the same: an event is sent at least once, and always the newest.
 */
import type { Ambient } from "../ambient.ts";
import { ids } from "../store/documents.ts";
import type { DirectoryStore, Hint, HintQueue } from "../store/ports.ts";
import { endpointsOf, type WebhookEndpoint } from "./endpoints.ts";
import { signedMessage } from "./message.ts";
import type { DeliveryRow, WebhookSender, WebhookStore } from "./ports.ts";
import { begun, isTaken, newRow, settled, stepOf } from "./rules.ts";
import { makeTurns, type Turns } from "./turns.ts";

export interface DeliverNeeds {
  ambient: Ambient;
  store: Pick<DirectoryStore, "read" | "tellNext">;
  webhooks: WebhookStore;
  sender: WebhookSender;
  endpoints: readonly WebhookEndpoint[];
  /** Of the queue `webhook-delivery`. */
  deliveries: HintQueue;
}

/** Counts of endpoints, for the log. */
export interface Delivered {
  delivered: number;
  failed: number;
  waiting: number;
  /** Given up just now: somebody has to look after the endpoint. */
  died: number;
}

interface Outcome {
  what: keyof Delivered | "nothing";
  /** When the endpoint wants to be looked at again; null = when there is something new. */
  next: number | null;
  /** That is near: a hint goes out for it, and nobody waits for the timer. */
  isNear?: boolean;
}

interface Task {
  workspaceId: string;
  connectionId: string;
  sequence: number;
}

export const deliver = (needs: DeliverNeeds): ((hint: Hint) => Promise<Delivered>) => {
  const turns = makeTurns(() => needs.ambient.now());
  return async ({ connectionId }) => {
    const { store, webhooks, deliveries, ambient } = needs;
    const head = await store.read(connectionId, "head", ids.head);
    const tellAt = head?.tellAt ?? null;
    if (!head || tellAt === null) return counted([]);
    const doc = await store.read(connectionId, "connection", ids.connection);
    const endpoints = doc && doc.state !== "closing" ? endpointsOf(needs.endpoints, doc.workspaceId) : [];
    const rows = endpoints.length > 0 ? await webhooks.list(connectionId) : [];
    const task: Task = { connectionId, workspaceId: doc?.workspaceId ?? "", sequence: head.sequence };
    const outcomes = await allDone(
      endpoints.map((endpoint) =>
        tell(needs, turns, task, endpoint, rows.find((row) => row.endpoint === endpoint.id) ?? null),
      ),
    );
    const wanted = outcomes.flatMap(({ next }) => next ?? []);
    const next = wanted.length > 0 ? Math.min(...wanted) : null;
    const isMoved = await store.tellNext(connectionId, next, { sequence: head.sequence, tellAt });
    const near = outcomes.flatMap(({ isNear, next: at }) => (isNear && at !== null ? [at - ambient.now()] : []));
    if (isMoved && near.length > 0)
      await deliveries.send(
        { connectionId, receivedAt: ambient.now() },
        Math.max(1, Math.ceil(Math.min(...near) / 1000)),
      );
    return counted(outcomes);
  };
};

const tell = async (
  needs: DeliverNeeds,
  turns: Turns,
  { connectionId, workspaceId, sequence }: Task,
  endpoint: WebhookEndpoint,
  known: (DeliveryRow & { _etag: string }) | null,
): Promise<Outcome> => {
  const { ambient, webhooks, sender } = needs;
  const now = ambient.now();
  const step = stepOf(known, sequence, now);
  if (step.do === "nothing") return { what: "nothing", next: null };
  // Not the end of a back-off, but of somebody's turn or of the pause after an event.
  if (step.do === "wait") return { what: "waiting", next: step.until, isNear: known?.failingSince === null };
  const restsUntil = turns.waitUntil(endpoint.id);
  if (restsUntil !== null) return { what: "waiting", next: restsUntil };

  const row = begun(known ?? newRow(endpoint.id), { id: `msg_${ambient.ulid()}`, sequence }, now);
  turns.begin(endpoint.id);
  let took = 0;
  try {
    const mine = await webhooks.put(connectionId, row, known?._etag ?? null);
    // Somebody else has taken the turn, or wants a replay: look again.
    if (!mine) return { what: "waiting", next: now, isNear: true };
    const event = { type: "changes.available", workspace: workspaceId, connection: connectionId, sequence } as const;
    const message = signedMessage(endpoint, { id: row.message.id, now: ambient.now(), event });
    const answer = await sender.send(endpoint.url, message.headers, message.body);
    took = answer.milliseconds;
    const random = ambient.randomBytes(2).readUInt16BE() / 65_536;
    const after = settled(row, answer, ambient.now(), random);
    if (!(await webhooks.put(connectionId, after, mine._etag))) return { what: "waiting", next: now, isNear: true };
    if (isTaken(answer)) return { what: "delivered", next: null };
    return { what: after.deadSince === null ? "failed" : "died", next: after.nextAt };
  } finally {
    turns.end(endpoint.id, took);
  }
};

/** A fault with one endpoint's row does not leave the requests of the others without an end. */
const allDone = async (working: Promise<Outcome>[]): Promise<Outcome[]> => {
  await Promise.allSettled(working);
  return Promise.all(working);
};

const counted = (outcomes: readonly Outcome[]): Delivered => {
  const count = (what: keyof Delivered): number => outcomes.filter((outcome) => outcome.what === what).length;
  return { delivered: count("delivered"), failed: count("failed"), waiting: count("waiting"), died: count("died") };
};
