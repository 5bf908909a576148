/**
 * Applying: the plan's chunks in fixed order, each commit with its log entries. A change is applied only to the version it was
 * planned from; anything else is left to the next round (`moved`). The last commit moves the delta links and ends the run, so
 * whatever happens before it only makes the same delta be read again.
 */
import { AppError } from "../../errors.ts";
import type { Commit } from "../../store/commit.ts";
import { type Head, ids } from "../../store/documents.ts";
import type { Change } from "../plan.ts";
import { Batch } from "./batch.ts";
import { type Pass, passes } from "./cursor.ts";
import { sealAhead } from "./new-person.ts";
import { prepare } from "./prepare.ts";
import { carryOn, commitAs, firstRunDoc, flush, type Round, SliceEnded } from "./round.ts";

/** Commits everything but the last batch, which is returned: it goes out together with the end of the run. */
export const apply = async (round: Round): Promise<Batch> => {
  // An earlier slice may have applied part of the chunk it stopped in: there nothing is taken to be new.
  const resumedAt = round.cursor.at;
  await clearLeftovers(round);
  let batch = new Batch(resumedAt, resumedAt.phase === "applying");
  for (;;) {
    const { at } = round.cursor;
    if (at.phase !== "applying") return batch;
    const pass = passes[at.pass];
    if (pass === undefined) return batch;
    if (at.chunk >= round.staging.chunks(pass)) {
      round.cursor.at = { phase: "applying", pass: at.pass + 1, chunk: 0 };
      continue;
    }
    const changes = await currentChanges(round, pass, at.chunk);
    // Behind a commit that is on its way it would be waited for.
    round.staging.expect(pass, at.chunk + 1);
    batch = await applyChanges(round, batch, changes, {
      careful: at === resumedAt,
      next: () => currentChanges(round, pass, at.chunk + 1),
    });
    round.cursor.at = { phase: "applying", pass: at.pass, chunk: at.chunk + 1 };
  }
};

/** Shards that a run which was broken off has left of groups it removed. They go first: such a group may come back. */
const clearLeftovers = async (round: Round): Promise<void> => {
  for (const { id, shown } of round.head.emptying) {
    const role = shown ? "shown" : "filter";
    let left: Change[] = [{ kind: "group", id, role, of: null, op: "remove", from: null, to: null }];
    while (left.length > 0) {
      const batch = new Batch(round.cursor.at);
      const later = await prepare(round, batch, left);
      left = [...(await sendOn(round, batch)), ...later];
    }
  }
};

const currentChanges = async ({ staging }: Round, pass: Pass, chunk: number): Promise<Change[]> =>
  chunk < staging.chunks(pass)
    ? (await staging.chunk(pass, chunk)).filter((change) => staging.current(change, pass, chunk))
    : [];

const changesPerStep = 60;
/** Somebody else writes the same documents again and again: the run comes back later. */
const maxAttempts = 20;

const applyChanges = async (
  round: Round,
  open: Batch,
  changes: readonly Change[],
  { careful, next }: { careful: boolean; next: () => Promise<Change[]> },
): Promise<Batch> => {
  let batch = open;
  let rest = [...changes];
  while (rest.length > 0) {
    const left = await prepare(round, batch, rest.slice(0, changesPerStep));
    rest = [...left, ...rest.slice(changesPerStep)];
    // A large plan goes out as it comes; a small one stays whole and goes out with the end of the run.
    if (left.length === 0) continue;
    if (batch.size === 0 && left.length > 0)
      throw new AppError("unexpected", { detail: "A single change does not fit into a commit." });
    const [again] = await Promise.all([sendOn(round, batch), sealAhead(round, rest, next)]);
    rest = [...again, ...rest];
    batch = new Batch(round.cursor.at, careful);
    if (round.needs.ambient.now() >= round.sliceEndsAt) throw new SliceEnded();
  }
  return batch;
};

/**
 * Sends a batch that is not the last. From here on the run spans several commits, so a crash must find the whole plan in `work`;
 * the place in head moves in the very commit that holds what was planned before it, and not at all when something was left out.
 */
const sendOn = async (round: Round, batch: Batch): Promise<Change[]> => {
  if (!round.staging.written) await flush(round);
  const reached = round.cursor.at;
  const carry = (head: Head, left: readonly Change[]): Head => {
    round.cursor.at = left.length > 0 ? batch.from : reached;
    const next = carryOn(round)(head);
    round.cursor.at = reached;
    return next;
  };
  const left = await send(round, batch, carry, () => ({ writes: firstRunDoc(round) }));
  round.progressed = true;
  return left;
};

/**
 * Sends a batch; what moved under it is looked at and planned again, until it fits. Returns changes for which there was no more
 * room when the batch was built again.
 */
export const send = async (
  round: Round,
  batch: Batch,
  advance: (head: Head, left: readonly Change[]) => Head,
  more: () => Pick<Commit, "writes" | "entries">,
): Promise<Change[]> => {
  const left: Change[] = [];
  let current = batch;
  for (let attempt = 0; attempt < maxAttempts; attempt++) {
    const { writes = [], entries = [] } = more();
    const sent = current;
    const result = await commitAs(round, {
      advance: (head) => advance(sent.count(head), left),
      writes: [...sent.writes(), ...writes],
      entries: [...sent.entries, ...entries],
    });
    if (result.outcome === "committed") {
      sent.eachPerson((id, state) => round.staging.wrotePerson(id, state === "active"));
      return left;
    }
    if (result.id === ids.connection)
      round.doc = (await round.needs.store.read(round.doc.connectionId, "connection", ids.connection)) ?? round.doc;
    // Careful: this time nothing is assumed to be absent.
    current = new Batch(batch.from, true);
    left.push(...(await prepare(round, current, sent.changes)));
  }
  throw new AppError("changed-meanwhile");
};
