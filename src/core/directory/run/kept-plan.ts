/**
 * The plan of a dry run stays readable for a while after the run has ended: its chunks stay in `work`, and beside them one part,
 * sealed under the ring, says what opens them and under which settings they were made. Parts expire of themselves, so nothing that
 * could open a plan outlives it. The run's document names the part; what a worker wrote that lost its turn is never looked at.
 */
import { iso } from "../../ambient.ts";
import type { Settings } from "../../connections/settings.ts";
import type { ConnectionContext } from "../../context.ts";
import { type RunKeyContent, runKey } from "../../crypto/key-ring.ts";
import { open, type Place, type Sealed, seal } from "../../crypto/seal.ts";
import { AppError } from "../../errors.ts";
import type { BlacklistVersion, ConnectionDoc, KeptPlan, RunState } from "../../store/documents.ts";
import type { StagedPlan } from "./cursor.ts";
import { cursorPlace, flush, noCounts, type Round, type RoundNeeds, runKeyPlace } from "./round.ts";
import { Staging } from "./staging.ts";
import { waitingMilliseconds } from "./waiting.ts";

interface Opener {
  key: RunKeyContent;
  plan: StagedPlan;
  settings: Settings;
  blacklist: BlacklistVersion;
}

/** A plan, to be read; what it was made under may no longer be in force. */
export interface OpenPlan extends Pick<Opener, "settings" | "blacklist"> {
  staging: Staging;
}

type Needs = Pick<RoundNeeds, "ambient" | "work">;

const partPlace = (runId: string, part: string): Place => ({
  container: "work",
  partition: runId,
  document: part,
  fields: "content",
});

/** To be called before the commit that ends the run; its result belongs into that commit. */
export const keepPlan = async (round: Round): Promise<KeptPlan> => {
  const { needs, connection, id, doc } = round;
  if (round.staging.inMemory || !round.staging.written) await flush(round);
  const { staged, writers, sum } = round.cursor;
  const opener: Opener = {
    key: round.keyContent,
    plan: { staged, writers, sum },
    settings: connection.settings,
    blacklist: doc.blacklist,
  };
  const part = `plan:${round.owner}`;
  const content = seal(needs.ambient, connection.ring.sealing, partPlace(id, part), opener);
  await needs.work.put(id, { id: part, kind: "chunk", content });
  return { part, until: iso(needs.ambient.now() + waitingMilliseconds) };
};

/** Throws `plan-lost` when the parts have expired. */
export const openKeptPlan = async (
  needs: Needs,
  connection: ConnectionContext,
  runId: string,
  { part }: KeptPlan,
): Promise<OpenPlan> => {
  const content = await needs.work.get(runId, part);
  if (content === null) throw new AppError("plan-lost");
  const opener = open(connection.ring.sealing, partPlace(runId, part), content as Sealed<Opener>);
  const { settings, blacklist } = opener;
  return { settings, blacklist, staging: await stagingOf(needs, connection, runId, opener) };
};

/** Of a run that the guard has stopped: what head keeps of it. */
export const openWaitingPlan = async (
  needs: Needs,
  connection: ConnectionContext,
  { blacklist }: ConnectionDoc,
  run: RunState,
): Promise<OpenPlan> => {
  const { connectionId, ring, settings } = connection;
  const key = open(ring.sealing, runKeyPlace(connectionId, run.id), run.key);
  const plan = open(ring.sealing, cursorPlace(connectionId, run.id), run.cursor);
  return { settings, blacklist, staging: await stagingOf(needs, connection, run.id, { key, plan }) };
};

const stagingOf = async (
  { ambient, work }: Needs,
  { ring }: ConnectionContext,
  runId: string,
  { key, plan }: Pick<Opener, "key" | "plan">,
): Promise<Staging> => {
  const reader = { ambient, work, ring, runId, owner: "", key: runKey(key), counts: noCounts(), dry: true };
  const staging = new Staging(reader, plan);
  await staging.resume();
  return staging;
};
