/** Starting a run, and picking one up where head says it is. */
import type { ConnectionContext } from "../../context.ts";
import { newRunKey, runKey } from "../../crypto/key-ring.ts";
import { open } from "../../crypto/seal.ts";
import { type ConnectionDoc, type Head, ids, type Stored } from "../../store/documents.ts";
import { newCursor } from "./cursor.ts";
import { cursorPlace, linksPlace, noCounts, type Round, type RoundNeeds, runKeyPlace } from "./round.ts";
import { Staging } from "./staging.ts";

type Begin = (
  needs: RoundNeeds,
  connection: ConnectionContext,
  doc: Stored<ConnectionDoc>,
  head: Stored<Head>,
  owner: string,
) => Promise<Round>;

export const startRun: Begin = async (needs, connection, doc, head, owner) => {
  const { connectionId, ring } = connection;
  const links = head.links ? open(ring.sealing, linksPlace(connectionId), head.links) : null;
  const usable = links !== null && head.selection === needs.source.selection;
  const full = !usable || head.requested?.mode === "full";
  const { key, content } = newRunKey(needs.ambient);
  const counts = noCounts();
  const id = head.requested?.runId ?? needs.ambient.ulid();
  const cursor = newCursor({ groups: full, users: full }, links === null, full ? null : (links?.groups ?? null));
  const now = needs.ambient.now();
  return {
    needs,
    connection,
    doc,
    owner,
    head,
    id,
    mode: head.requested?.mode === "dry-run" ? "dry-run" : full ? "full" : "delta",
    cause: head.requested?.cause ?? "schedule",
    epoch: head.epoch,
    startedAt: now,
    key,
    keyContent: content,
    cursor,
    staging: new Staging(
      {
        ambient: needs.ambient,
        work: needs.work,
        ring,
        runId: id,
        owner,
        key,
        counts,
        dry: head.requested?.mode === "dry-run",
      },
      cursor,
    ),
    counts,
    warnings: [],
    planHash: null,
    stopped: null,
    findings: [],
    links,
    isDocumented: head.requested !== null,
    sliceEndsAt: now + needs.sliceMilliseconds,
    requestsCounted: needs.source.requests(connectionId),
    progressed: false,
  };
};

export const openRun: Begin = async (needs, connection, doc, head, owner) => {
  const { connectionId, ring } = connection;
  const run = head.run as NonNullable<Head["run"]>;
  const keyContent = open(ring.sealing, runKeyPlace(connectionId, run.id), run.key);
  const cursor = open(ring.sealing, cursorPlace(connectionId, run.id), run.cursor);
  const key = runKey(keyContent);
  const counts = { ...run.counts };
  const staging = new Staging(
    { ambient: needs.ambient, work: needs.work, ring, runId: run.id, owner, key, counts, dry: run.mode === "dry-run" },
    cursor,
  );
  await staging.resume();
  return {
    needs,
    connection,
    doc,
    owner,
    head,
    id: run.id,
    mode: run.mode,
    cause: run.cause,
    epoch: run.epoch,
    startedAt: run.startedAt,
    key,
    keyContent,
    cursor,
    staging,
    counts,
    warnings: [...run.warnings],
    planHash: run.planHash,
    stopped: run.stopped,
    findings: run.stopped?.findings ?? [],
    links: head.links ? open(ring.sealing, linksPlace(connectionId), head.links) : null,
    isDocumented: (await needs.store.read(connectionId, "run", ids.run(run.id))) !== null,
    sliceEndsAt: needs.ambient.now() + needs.sliceMilliseconds,
    requestsCounted: needs.source.requests(connectionId),
    progressed: false,
  };
};
