/**
 * Removes for good the people who left long enough ago, where the settings want that, and deletes the stubs of those who were removed
 * when nothing in the log can be theirs any more. It asks nothing of Microsoft and is no part of a run: what was promised to end
 * ends also while the sync is paused.
 */
import { type Ambient, iso } from "../ambient.ts";
import { plainEntry } from "../audit/change-log.ts";
import { longestLogSeconds } from "../audit/retention.ts";
import type { ConnectionContext } from "../context.ts";
import { commit } from "../store/commit.ts";
import { type ConnectionDoc, type Head, ids, type PersonDoc, personOf, type Stored } from "../store/documents.ts";
import type { DirectoryStore, Write } from "../store/ports.ts";
import { retiredPerson } from "./write-person.ts";

export interface RetireNeeds {
  ambient: Ambient;
  store: Pick<DirectoryStore, "read" | "write" | "load" | "leftBefore">;
  leaseMilliseconds: number;
}

const dayMilliseconds = 86_400_000;
const peoplePerCommit = 40;

/** Their key opens what the log holds of them, and nothing of that is older. */
const stubMilliseconds = longestLogSeconds * 1000;
const stubEnded = { kind: "person", op: "removed", cause: "retention", evidence: "stub-ended" } as const;
const stubEndsAt = ({ changedAt }: Pick<PersonDoc, "changedAt">): number => Date.parse(changedAt) + stubMilliseconds;

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
  if (before.rule !== "remove" && after.rule !== "remove") return { retireAt };
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
    const stubs =
      due.length === 0
        ? await store.leftBefore(connectionId, iso(now - stubMilliseconds), peoplePerCommit, "removed")
        : [];
    const ended = stubs.filter((stub) => stubEndsAt(stub) <= now);
    const written = due.map((stored) => ({
      stored,
      ...retiredPerson({ ambient, connection: { connectionId, ring }, origin: { cause: "retention" } }, stored),
    }));
    const isDone = due.length === 0 && ended.length === 0;
    const next = isDone ? await nextTime(needs, connectionId, leaving) : null;
    const result = await commit(needs, head, {
      worker,
      writes: [
        ...written.map(({ doc, stored }): Write => ({ op: "replace", doc, etag: stored._etag })),
        ...(await stubDeletions(store, connectionId, ended)),
      ],
      entries: [
        ...written.flatMap(({ entry }) => (entry ? [entry] : [])),
        ...ended.map(({ id }) => plainEntry(ambient, { ...stubEnded, object: personOf(id) })),
      ],
      advance: (fresh) => ({
        ...fresh,
        leaseUntil: now + needs.leaseMilliseconds,
        retireAt: isDone ? next : fresh.retireAt,
      }),
    });
    if (result.outcome === "lost-turn" || result.outcome === "superseded") return null;
    head = result.head;
    if (isDone && result.outcome === "committed") return head;
  }
};

/** Who left first of those who are not due yet says when to look again; null: nobody will ever be. */
const nextTime = async (
  { ambient, store }: Pick<RetireNeeds, "ambient" | "store">,
  connectionId: string,
  { rule, afterDays }: ConnectionDoc["settings"]["leaving"],
): Promise<number | null> => {
  const until = iso(ambient.now());
  const [person] = rule === "remove" ? await store.leftBefore(connectionId, until, 1) : [];
  const [stub] = await store.leftBefore(connectionId, until, 1, "removed");
  const times = [
    ...(person?.leftAt ? [Date.parse(person.leftAt) + afterDays * dayMilliseconds] : []),
    ...(stub ? [Math.max(stubEndsAt(stub), ambient.now() + dayMilliseconds)] : []),
  ];
  return times.length > 0 ? Math.min(...times) : null;
};

/** With the row that makes the link of somebody unique: nobody comes back to it. */
const stubDeletions = async (
  store: Pick<DirectoryStore, "load">,
  connectionId: string,
  stubs: readonly Stored<PersonDoc>[],
): Promise<Write[]> => {
  const indexes = stubs.flatMap(({ productUser }) => (productUser ? [ids.productUser(productUser.index)] : []));
  const rows = await store.load(connectionId, "product-user", indexes);
  return [...stubs, ...rows.values()].map(({ _etag, ...doc }) => ({
    op: "delete",
    id: doc.id,
    etag: _etag,
    grows: -JSON.stringify(doc).length,
  }));
};
