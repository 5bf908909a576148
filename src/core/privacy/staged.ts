/** What runs have staged of people: of the run under way, and of dry runs whose plan is kept. */
import type { Ambient } from "../ambient.ts";
import { waitingMilliseconds } from "../directory/run/waiting.ts";
import type { Head, RunDoc, Stored } from "../store/documents.ts";
import type { DirectoryStore, WorkStore } from "../store/ports.ts";

interface StagedNeeds {
  ambient: Pick<Ambient, "now">;
  store: Pick<DirectoryStore, "list">;
  work: Pick<WorkStore, "drop">;
}

const runsPerPage = 50;
/** Time to live in the container `work`. */
const workMilliseconds = 96 * 3_600_000;

/** Plans cannot be searched for one person without opening all of them, so all of them go. A dry run makes a new one. */
export const dropStaged = async ({ ambient, store, work }: StagedNeeds, head: Stored<Head>): Promise<void> => {
  if (head.run && head.run.epoch !== head.epoch) await work.drop(head.run.id);
  const now = ambient.now();
  for (let after: string | undefined; ; ) {
    const options = { limit: runsPerPage, ...(after === undefined ? {} : { after }) };
    const runs = await store.list(head.connectionId, "run", options);
    for (const run of runs) if (isThere(run, now)) await work.drop(run.id.slice(2));
    const oldest = runs.at(-1);
    if (!oldest || runs.length < runsPerPage || Date.parse(oldest.requestedAt) < now - 2 * workMilliseconds) return;
    after = oldest.id;
  }
};

const isThere = ({ plan }: RunDoc, now: number): boolean =>
  plan !== undefined && Date.parse(plan.until) - waitingMilliseconds + workMilliseconds > now;
