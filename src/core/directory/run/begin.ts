/** Starting a run, and picking one up where head says it is. */
import { openBlacklist, openEntries } from "../../connections/blacklist.ts";
import type { Settings } from "../../connections/settings.ts";
import type { ConnectionContext } from "../../context.ts";
import { newRunKey, runKey } from "../../crypto/key-ring.ts";
import { open } from "../../crypto/seal.ts";
import { isAppError } from "../../errors.ts";
import { answered } from "../../notifications/mark.ts";
import {
  type BlacklistVersion,
  type ConnectionDoc,
  type Head,
  ids,
  type RunState,
  type Stored,
} from "../../store/documents.ts";
import type { Rules } from "../plan.ts";
import { basisOf, readAll, readsBetween } from "./basis.ts";
import { type Cursor, type Links, newCursor, type Reads } from "./cursor.ts";
import { ScopeMembers } from "./members.ts";
import { Nesting } from "./nesting.ts";
import { cursorPlace, linksPlace, noCounts, type Round, type RoundNeeds, runKeyPlace } from "./round.ts";
import { Staging } from "./staging.ts";

interface Begin {
  needs: RoundNeeds;
  connection: ConnectionContext;
  doc: Stored<ConnectionDoc>;
  head: Stored<Head>;
  owner: string;
}

export const startRun = async (begin: Begin): Promise<Round> => {
  const { needs, head } = begin;
  const startedAt = needs.ambient.now();
  const proposed = head.requested?.proposed ?? null;
  const connection = under(begin.connection, proposed);
  const links = openLinks({ ...begin, connection });
  const dry = head.requested?.mode === "dry-run";
  const reads =
    links && !head.suspect && head.requested?.mode !== "full"
      ? await readsSince({ ...begin, connection }, links)
      : readAll;
  const full = reads.full.groups || reads.full.users;
  const link = reads.full.groups ? null : (links?.groups ?? null);
  const { key, content } = newRunKey(needs.ambient);
  return makeRound({ ...begin, connection }, links, newCursor(reads, links === null, link), {
    id: head.requested?.runId ?? needs.ambient.ulid(),
    mode: dry ? "dry-run" : full ? "full" : "delta",
    cause: head.requested?.cause ?? (answered(head, startedAt) ? "notification" : "schedule"),
    proposed,
    epoch: head.epoch,
    startedAt,
    key,
    keyContent: content,
    counts: noCounts(),
    warnings: [],
    planHash: null,
    stopped: null,
    findings: [],
    isDocumented: head.requested !== null,
  });
};

export const openRun = async (begin: Begin): Promise<Round> => {
  const { needs, head } = begin;
  const run = head.run as RunState;
  const connection = under(begin.connection, run.proposed ?? null);
  const { connectionId, ring } = connection;
  const keyContent = open(ring.sealing, runKeyPlace(connectionId, run.id), run.key);
  const cursor = open(ring.sealing, cursorPlace(connectionId, run.id), run.cursor);
  const round = makeRound({ ...begin, connection }, openLinks({ ...begin, connection }), cursor, {
    id: run.id,
    mode: run.mode,
    cause: run.cause,
    proposed: run.proposed ?? null,
    epoch: run.epoch,
    startedAt: run.startedAt,
    key: runKey(keyContent),
    keyContent,
    counts: { ...run.counts },
    warnings: [...run.warnings],
    planHash: run.planHash,
    stopped: run.stopped,
    findings: run.stopped?.findings ?? [],
    isDocumented: (await needs.store.read(connectionId, "run", ids.run(run.id))) !== null,
  });
  await round.staging.resume();
  return round;
};

type Identity = Pick<
  Round,
  | "id"
  | "mode"
  | "cause"
  | "proposed"
  | "epoch"
  | "startedAt"
  | "key"
  | "keyContent"
  | "counts"
  | "warnings"
  | "planHash"
  | "stopped"
  | "findings"
  | "isDocumented"
>;

const makeRound = (
  { needs, connection, doc, head, owner }: Begin,
  links: Links | null,
  cursor: Cursor,
  run: Identity,
): Round => {
  let rules: Promise<Rules> | null = null;
  const staged = { needs, connection, owner, ...run };
  const round: Omit<Round, "nesting" | "members"> = {
    ...staged,
    doc,
    head,
    links,
    cursor,
    staging: stagingOf(staged, cursor),
    objectIds: new Map(),
    rules: () => (rules ??= openRules(needs, connection, doc)),
    sliceEndsAt: needs.ambient.now() + needs.sliceMilliseconds,
    requestsCounted: needs.source.requests(connection.connectionId),
    objectsWorkedOn: 0,
    progressed: false,
  };
  return lookAnew(round);
};

/** Forgets what was looked up for the cursor as it was. */
export const lookAnew = (round: Omit<Round, "nesting" | "members">): Round =>
  Object.assign(round, { nesting: new Nesting(round), members: new ScopeMembers(round) });

export const stagingOf = (
  round: Pick<Round, "needs" | "connection" | "id" | "owner" | "key" | "counts" | "mode">,
  cursor: Cursor,
): Staging => {
  const { needs, connection, id, owner, key, counts, mode } = round;
  const { ambient, work } = needs;
  return new Staging(
    { ambient, work, ring: connection.ring, runId: id, owner, key, counts, dry: mode === "dry-run" },
    cursor,
  );
};

const under = (connection: ConnectionContext, proposed: Settings | null): ConnectionContext =>
  proposed ? { ...connection, settings: proposed } : connection;

const openLinks = ({ connection, head }: Begin): Links | null =>
  head.links ? open(connection.ring.sealing, linksPlace(connection.connectionId), head.links) : null;

const openRules = async (
  needs: RoundNeeds,
  { settings, ring }: ConnectionContext,
  doc: ConnectionDoc,
): Promise<Rules> => ({
  settings,
  blacklist: await openBlacklist(needs)(doc, ring),
});

const readsSince = async ({ needs, connection, doc }: Begin, { basis }: Links): Promise<Reads> => {
  const { settings } = connection;
  const now = basisOf(settings, doc.blacklist, needs.source.selection(settings));
  return readsBetween(basis, now, await unlisted(needs, connection, basis.blacklist, now.blacklist));
};

/** Whether somebody was taken off the blacklist; where that can no longer be told, yes. */
const unlisted = async (
  needs: RoundNeeds,
  { connectionId, ring }: ConnectionContext,
  before: BlacklistVersion,
  now: BlacklistVersion,
): Promise<boolean> => {
  if (before.version === now.version) return false;
  const listed = new Set(await openEntries(needs)(connectionId, now, ring));
  try {
    return (await openEntries(needs)(connectionId, before, ring)).some((entry) => !listed.has(entry));
  } catch (error) {
    if (isAppError(error, "store-unavailable")) return true;
    throw error;
  }
};
