/** A plan that the guard has stopped waits in `work` for somebody's decision. Nothing of it is applied, and no other run begins. */
import { draftEntry } from "../../audit/change-log.ts";
import { ids } from "../../store/documents.ts";
import { carryOn, commitAs, flush, newRunDoc, type Round } from "./round.ts";

/** Delta links live seven days and staged chunks four: a plan that nobody decides on in three is made anew. */
export const waitingMilliseconds = 72 * 3_600_000;

export const stop = async (round: Round): Promise<void> => {
  const { needs, connection } = round;
  const { connectionId, ring } = connection;
  await flush(round);
  const expiresAt = needs.ambient.now() + waitingMilliseconds;
  round.stopped = { findings: round.findings, expiresAt, approved: false };
  const known = round.isDocumented ? await needs.store.read(connectionId, "run", ids.run(round.id)) : null;
  const { _etag: etag, ...base } = known ?? { ...newRunDoc(round), _etag: "" };
  const doc = {
    ...base,
    ...newRunDoc(round),
    requestedAt: base.requestedAt,
    requestedBy: base.requestedBy,
    phase: "waiting" as const,
  };
  await commitAs(round, {
    advance: (head) => ({ ...carryOn(round)(head), owner: null, leaseUntil: 0, wakeAt: expiresAt }),
    writes: [known ? { op: "replace", doc, etag } : { op: "create", doc }],
    entries: [
      draftEntry(needs.ambient, ring, connectionId, {
        kind: "run",
        op: "stopped",
        object: round.id,
        cause: round.cause,
        run: round.id,
        evidence: "guard",
      }),
    ],
  });
};
