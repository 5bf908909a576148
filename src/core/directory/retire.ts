/**
 * Removes for good the people who left long enough ago, where the settings want that. It asks nothing of Microsoft and is no part
 * of a run: what was promised to end ends also while the sync is paused.
 */
import { type Ambient, iso } from "../ambient.ts";
import type { ConnectionContext } from "../context.ts";
import { commit } from "../store/commit.ts";
import type { ConnectionDoc, Head, Stored } from "../store/documents.ts";
import type { DirectoryStore } from "../store/ports.ts";
import { retiredPerson } from "./write-person.ts";

export interface RetireNeeds {
  ambient: Ambient;
  store: Pick<DirectoryStore, "read" | "write" | "leftBefore">;
  leaseMilliseconds: number;
}

const dayMilliseconds = 86_400_000;
const peoplePerCommit = 40;

/** When somebody who leaves at `now` is to be removed; null = never. */
export const retiresAt = ({ leaving }: Pick<ConnectionDoc["settings"], "leaving">, now: number): number | null =>
  leaving.rule === "remove" ? now + leaving.afterDays * dayMilliseconds : null;

/** The rule may be new, or the time shorter: who is due is looked for at once. */
export const retirementAfter = (
  { retireAt }: Pick<Head, "retireAt">,
  before: ConnectionDoc["settings"]["leaving"],
  after: ConnectionDoc["settings"]["leaving"],
  now: number,
): Pick<Head, "retireAt"> => {
  if (after.rule !== "remove") return { retireAt: null };
  return { retireAt: before.rule === "remove" && before.afterDays === after.afterDays ? retireAt : now };
};

export const isRetirementDue = (head: Pick<Head, "retireAt" | "run">, now: number): boolean =>
  head.retireAt !== null && head.retireAt <= now && head.run === null;

/** With the lease held. Returns head as it is afterwards; null when the lease was lost. */
export const retire = async (
  needs: RetireNeeds,
  { connectionId, ring, settings }: ConnectionContext,
  claimed: Stored<Head>,
): Promise<Stored<Head> | null> => {
  const { ambient, store } = needs;
  const worker = { owner: claimed.owner as string, epoch: claimed.epoch };
  for (let head = claimed; ; ) {
    const now = ambient.now();
    const { leaving } = settings;
    const cutOff = iso(now - leaving.afterDays * dayMilliseconds);
    const due = leaving.rule === "remove" ? await store.leftBefore(connectionId, cutOff, peoplePerCommit) : [];
    // The one who left first of those who are not due yet says when to look again.
    const [first] =
      leaving.rule === "remove" && due.length === 0 ? await store.leftBefore(connectionId, iso(now), 1) : [];
    const next = first?.leftAt ? Date.parse(first.leftAt) + leaving.afterDays * dayMilliseconds : null;
    const written = due.map((stored) => ({
      stored,
      ...retiredPerson({ ambient, connection: { connectionId, ring }, origin: { cause: "retention" } }, stored),
    }));
    const result = await commit(needs, head, {
      worker,
      writes: written.map(({ doc, stored }) => ({ op: "replace", doc, etag: stored._etag })),
      entries: written.flatMap(({ entry }) => (entry ? [entry] : [])),
      advance: (fresh) => ({
        ...fresh,
        leaseUntil: now + needs.leaseMilliseconds,
        retireAt: due.length > 0 ? fresh.retireAt : next,
      }),
    });
    if (result.outcome === "lost-turn" || result.outcome === "superseded") return null;
    head = result.head;
    if (due.length === 0 && result.outcome === "committed") return head;
  }
};
