/**
 * `npm run bench [-- names]`: measures, keeps the results in `bench/results`, and writes their tables into `docs/performance.md`.
 * Without names everything is measured, which takes about an hour.
 */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { cpus } from "node:os";
import { join, resolve } from "node:path";
import { benchChosen, type ChosenResult } from "./chosen.ts";
import { benchDelta, type DeltaResult } from "./delta.ts";
import { benchFairness, type FairnessResult } from "./fairness.ts";
import { benchImport, type ImportResult } from "./import.ts";
import { benchKeys, type KeysResult } from "./keys.ts";
import { benchMemory, type MemoryResult } from "./memory.ts";
import { benchNotifications, type NotificationResult } from "./notifications.ts";
import { type Kept, withTables } from "./report.ts";

const benchmarks = {
  import: benchImport,
  delta: benchDelta,
  chosen: benchChosen,
  memory: benchMemory,
  fairness: benchFairness,
  notifications: () => benchNotifications(),
  keys: benchKeys,
};

export interface Results {
  import: ImportResult;
  delta: DeltaResult;
  chosen: ChosenResult;
  memory: MemoryResult;
  fairness: FairnessResult;
  notifications: NotificationResult;
  keys: KeysResult;
}

type Name = keyof Results;

const root = resolve(import.meta.dirname, "..");
const names: readonly string[] = Object.keys(benchmarks);
const fileOf = (name: string): string => join(root, "bench/results", `${name}.json`);

const main = async (asked: readonly string[]): Promise<void> => {
  const unknown = asked.find((name) => !names.includes(name));
  if (unknown !== undefined) throw new Error(`There is no benchmark ${unknown}, only ${names.join(", ")}.`);
  mkdirSync(join(root, "bench/results"), { recursive: true });
  for (const name of (asked.length > 0 ? asked : names) as Name[]) {
    console.log(`${name} ...`);
    const kept: Kept<Results[Name]> = {
      measuredAt: new Date().toISOString(),
      machine: { processor: cpus()[0]?.model ?? "unknown", cores: cpus().length, node: process.version },
      result: await benchmarks[name](),
    };
    writeFileSync(fileOf(name), `${JSON.stringify(kept, null, 2)}\n`);
    writeTables();
  }
};

/** Also when only some were measured again: the others keep what they had. */
const writeTables = (): void => {
  const path = join(root, "docs/performance.md");
  writeFileSync(path, withTables(readFileSync(path, "utf8"), readResults()));
};

const readResults = (): { [N in Name]?: Kept<Results[N]> } =>
  Object.fromEntries(
    names.flatMap((name) => {
      try {
        return [[name, JSON.parse(readFileSync(fileOf(name), "utf8"))]];
      } catch {
        return [];
      }
    }),
  );

if (import.meta.main) await main(process.argv.slice(2));
