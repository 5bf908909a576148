/**
 * Tenants that outlive their process: a file to which each tenant's making and each alteration is appended before the
 * alteration is answered. One JSON object a line; the line feed is what makes a line count, so a line torn by a kill is
 * what nobody was told of. The text is in the operating system's hands when `append` returns: it survives the process,
 * not a power cut.
 */
import { closeSync, existsSync, ftruncateSync, mkdirSync, openSync, readFileSync, writeSync } from "node:fs";
import { dirname } from "node:path";
import type { Account } from "../world.ts";
import { type DirectorySpec, generateDirectory } from "./generator.ts";
import { createDirectory, type MemoryDirectory, type RecordedMutation } from "./memory-directory.ts";
import { createOracle, type Oracle } from "./oracle.ts";

export type DirectoryRecord =
  | { kind: "tenant"; tid: string; spec: DirectorySpec }
  | ({ kind: "mutation"; tid: string } & RecordedMutation)
  /** The oracle was shown the directory as it is at this place of the journal. */
  | { kind: "observed"; tid: string };

/** `Entry` may be wider than `DirectoryRecord`: whoever owns the file may keep other kinds in it. */
export interface Journal<Entry> {
  /** What the file held when it was opened, oldest first. */
  readonly entries: Entry[];
  append: (entry: Entry) => void;
  close: () => void;
}

const lineFeed = 0x0a;

export function openJournal<Entry = DirectoryRecord>(path: string): Journal<Entry> {
  mkdirSync(dirname(path), { recursive: true });
  const text = existsSync(path) ? readFileSync(path) : Buffer.alloc(0);
  const end = text.lastIndexOf(lineFeed) + 1;
  const entries: Entry[] = [];
  for (let from = 0; from < end; ) {
    const to = text.indexOf(lineFeed, from);
    entries.push(JSON.parse(text.toString("utf8", from, to)));
    from = to + 1;
  }
  const file = openSync(path, "a");
  ftruncateSync(file, end);
  return {
    entries,
    append(entry) {
      let rest = Buffer.from(`${JSON.stringify(entry)}\n`);
      while (rest.length > 0) rest = rest.subarray(writeSync(file, rest));
    },
    close: () => closeSync(file),
  };
}

export interface KeptDirectory {
  spec: DirectorySpec;
  directory: MemoryDirectory;
  accounts: Account[];
  /** Remembers across restarts what it was shown. */
  oracle: Oracle;
  observe(): void;
}

/**
 * The directories a journal speaks of, built again by generating and replaying. `append` gets what happens from now on.
 */
export function openDirectories(
  records: Iterable<DirectoryRecord>,
  append: (record: DirectoryRecord) => void,
  now: () => number = Date.now,
): { kept: ReadonlyMap<string, KeptDirectory>; create(tid: string, spec: DirectorySpec): KeptDirectory } {
  const kept = new Map<string, KeptDirectory>();

  function build(tid: string, spec: DirectorySpec): KeptDirectory {
    if (kept.has(tid)) throw new Error(`The tenant ${tid} exists already`);
    const { accounts, ...generated } = generateDirectory(spec);
    const directory = createDirectory({ now, record: (recorded) => append({ kind: "mutation", tid, ...recorded }) });
    directory.load(generated);
    const oracle = createOracle();
    const observe = (): void => {
      oracle.observe(directory);
      append({ kind: "observed", tid });
    };
    const built = { spec, directory, accounts, oracle, observe };
    kept.set(tid, built);
    return built;
  }

  for (const record of records) {
    if (record.kind === "tenant") build(record.tid, record.spec);
    else if (record.kind === "mutation") kept.get(record.tid)?.directory.replay([record]);
    else observeAgain(kept.get(record.tid));
  }
  return {
    kept,
    create(tid, spec) {
      const built = build(tid, spec);
      append({ kind: "tenant", tid, spec });
      return built;
    },
  };
}

const observeAgain = (kept: KeptDirectory | undefined): void => kept?.oracle.observe(kept.directory);
