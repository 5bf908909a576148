/**
 * Who follows the change feed, and how far. A consumer is a program of the product, under a name of its own; it acknowledges the
 * sequence up to which it has applied the changes. That is a report and no lock: the feed is read by `after`, with or without a name.
 *
 *   live     nothing waits for it
 *   behind   changes wait
 *   dead     changes have waited for seven days, and all that time it has acknowledged nothing
 */
import { z } from "zod";
import { type Ambient, iso } from "../ambient.ts";
import { readHead } from "../connections/change.ts";
import type { Caller } from "../context.ts";
import { AppError } from "../errors.ts";
import type { Head } from "../store/documents.ts";
import type { ConsumerRow, ConsumerStore, DirectoryStore } from "../store/ports.ts";
import { openReadable, type ViewNeeds } from "../views/readable.ts";

export const AcknowledgeChanges = z.strictObject({
  consumer: z
    .string()
    .regex(
      /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/,
      "is 1 to 64 of A-Z a-z 0-9 . _ - and begins with one of the first three",
    ),
  sequence: z.int().min(0),
});
export type AcknowledgeChanges = z.infer<typeof AcknowledgeChanges>;

export const ConsumerView = z.strictObject({
  name: z.string(),
  /** It has applied every change up to this number. */
  sequence: z.int(),
  /** How many changes wait for it. */
  lag: z.int(),
  lastSeenAt: z.iso.datetime(),
  state: z.enum(["live", "behind", "dead"]),
});
export type ConsumerView = z.infer<typeof ConsumerView>;

export const deadAfterMilliseconds = 7 * 86_400_000;
export const maxConsumers = 20;

/** What the count of dead consumers takes. */
export interface WatchNeeds {
  ambient: Pick<Ambient, "now">;
  store: Pick<DirectoryStore, "loggedAt">;
  consumers: Pick<ConsumerStore, "list">;
}

export interface ConsumerNeeds extends ViewNeeds {
  ambient: Pick<Ambient, "now">;
  consumers: ConsumerStore;
}

const maxAttempts = 5;

export const acknowledgeChanges =
  (needs: ConsumerNeeds) =>
  async (
    caller: Caller,
    connectionId: string,
    { consumer: name, sequence }: AcknowledgeChanges,
  ): Promise<ConsumerView> => {
    const { ambient, store, consumers } = needs;
    await openReadable(needs)(caller.workspaceId, connectionId);
    const head = await readHead(store, connectionId);
    if (sequence > head.sequence)
      throw new AppError("invalid-request", { field: "sequence", detail: "There is no such change yet." });
    for (let attempt = 0; attempt < maxAttempts; attempt++) {
      const known = await consumers.read(connectionId, name);
      if (!known && (await consumers.list(connectionId)).length >= maxConsumers)
        throw new AppError("too-many-consumers");
      const row = { name, sequence: Math.max(sequence, reached(known, head)), seenAt: ambient.now() };
      if (await consumers.put(connectionId, row, known?._etag ?? null)) return consumerView(needs, head, row);
    }
    throw new AppError("changed-meanwhile");
  };

/** A late acknowledgement takes nothing back. A place beyond head is of a log that was lost with a restored backup: it counts for nothing. */
const reached = (known: ConsumerRow | null, head: Pick<Head, "sequence">): number =>
  known && known.sequence <= head.sequence ? known.sequence : 0;

export const listConsumers =
  (needs: ConsumerNeeds) =>
  async (caller: Caller, connectionId: string): Promise<ConsumerView[]> => {
    await openReadable(needs)(caller.workspaceId, connectionId);
    return consumerViews(needs, await readHead(needs.store, connectionId));
  };

/** Whoever is removed and comes back is new. Answers what it was. */
export const removeConsumer =
  (needs: ConsumerNeeds) =>
  async (caller: Caller, connectionId: string, name: string): Promise<ConsumerView> => {
    const views = await listConsumers(needs)(caller, connectionId);
    const removed = views.find((view) => view.name === name);
    if (!removed) throw new AppError("consumer-not-found");
    await needs.consumers.remove(connectionId, name);
    return removed;
  };

/** The alarm: consumers that somebody has to look after, or to remove. */
export const countDead = async (needs: WatchNeeds, head: Head): Promise<number> =>
  (await consumerViews(needs, head)).filter(({ state }) => state === "dead").length;

const consumerViews = async (needs: WatchNeeds, head: Head): Promise<ConsumerView[]> =>
  Promise.all((await needs.consumers.list(head.connectionId)).map((row) => consumerView(needs, head, row)));

const consumerView = async (
  needs: Pick<WatchNeeds, "ambient" | "store">,
  head: Head,
  { name, sequence, seenAt }: ConsumerRow,
): Promise<ConsumerView> => {
  const lag = Math.max(0, head.sequence - sequence);
  const shown = { name, sequence, lag, lastSeenAt: iso(seenAt) };
  if (lag === 0) return { ...shown, state: "live" };
  return { ...shown, state: (await isDead(needs, head, { sequence, seenAt })) ? "dead" : "behind" };
};

/** Whoever was silent because there was nothing to say has seven days from the first change. */
const isDead = async (
  { ambient, store }: Pick<WatchNeeds, "ambient" | "store">,
  { connectionId }: Head,
  { sequence, seenAt }: Pick<ConsumerRow, "sequence" | "seenAt">,
): Promise<boolean> => {
  const deadline = ambient.now() - deadAfterMilliseconds;
  if (seenAt > deadline) return false;
  const waitingSince = await store.loggedAt(connectionId, sequence);
  return waitingSince !== null && Date.parse(waitingSince) <= deadline;
};
