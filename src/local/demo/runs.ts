/** Runs of the demonstration's connection, as its product sees them: asked for, watched until they end. */
import { setTimeout as delay } from "node:timers/promises";
import type { z } from "zod";
import { RunView } from "../../core/views/runs.ts";
import type { Console } from "./console.ts";
import { type Product, ProductProblem } from "./product.ts";

export type Run = z.output<typeof RunView>;

class RunFailed extends Error {
  constructor({ outcome, failure, warnings }: Run) {
    const codes = [...new Set(warnings.map(({ code }) => code))];
    super(`The run ended as ${outcome}: ${[failure, ...codes].filter(Boolean).join(", ")}.`);
  }
}

export interface RunWatch {
  product: Product;
  /** `/connections/<id>` */
  path: string;
  console: Console;
  /** How many objects the tenant has, as far as that is known. */
  expected: number;
}

const pollMs = 250;
/** Nothing has moved for so long: something is wrong, and waiting will not mend it. */
const patienceMs = 5 * 60_000;

/** Asks for a delta, after a run that is under way already: that one may have missed what happened since it began. */
export const syncNow = async (watch: RunWatch, title: string): Promise<Run> => {
  for (;;) {
    const id = await ask(watch);
    if (id !== null) return ended(watch, title, id);
    await nextRun(watch, title, new Set());
  }
};

/** Null: another run is under way. */
const ask = async ({ product, path }: RunWatch): Promise<string | null> => {
  try {
    return (await product.post(`${path}/runs`, { mode: "delta" }, RunView)).id;
  } catch (error) {
    if (error instanceof ProductProblem && error.code === "run-in-progress") return null;
    throw error;
  }
};

/** The first run that is not among the known ones; it may not have begun yet. */
export const nextRun = async (watch: RunWatch, title: string, known: ReadonlySet<string>): Promise<Run> => {
  const giveUpAt = Date.now() + patienceMs;
  for (;;) {
    const fresh = (await runIds(watch)).find((id) => !known.has(id));
    if (fresh !== undefined) return ended(watch, title, fresh);
    if (Date.now() > giveUpAt) throw new Error("No run has begun.");
    await delay(pollMs);
  }
};

/** Newest first. */
export const runIds = async ({ product, path }: Pick<RunWatch, "product" | "path">): Promise<string[]> =>
  (await product.list(`${path}/runs?limit=200`, RunView)).map(({ id }) => id);

const ended = async ({ product, path, console, expected }: RunWatch, title: string, id: string): Promise<Run> => {
  const progress = console.progress(title);
  let result: string | undefined;
  let moved = { at: Date.now(), by: "" };
  try {
    for (;;) {
      const run = await product.get(`${path}/runs/${id}`, RunView);
      if (run.phase === "ended") {
        if (run.outcome !== "done" && run.outcome !== "nothing") throw new RunFailed(run);
        result = `${run.mode} run, ${run.outcome} in ${secondsOf(run)} s.`;
        return run;
      }
      const { done, total } = progressOf(run, expected);
      progress.update(done, total, run.phase);
      const by = JSON.stringify([run.phase, run.counts]);
      if (by !== moved.by) moved = { at: Date.now(), by };
      if (Date.now() - moved.at > patienceMs) throw new Error(`The run stands still in phase ${run.phase}.`);
      await delay(pollMs);
    }
  } finally {
    progress.end(result);
  }
};

export const secondsOf = ({ startedAt, endedAt }: Run): number =>
  Math.round((Date.parse(endedAt ?? "") - Date.parse(startedAt ?? "")) / 100) / 10;

/** Half of it is reading, the other half writing what was read. */
const progressOf = ({ phase, counts }: Run, expected: number): { done: number; total: number } => {
  const read = counts.peopleRead + counts.groupsRead;
  const objects = Math.max(expected, read, 1);
  const written = phase === "applying" ? Math.min(objects, counts.documentsWritten) : 0;
  return { done: phase === "applying" ? objects + written : read, total: 2 * objects };
};
