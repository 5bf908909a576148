/**
 * An exported file, verified by itself: the documents in it have to follow from one another, the entries shown have to be those of
 * the documents, and the chain has to lead through the places that somebody else has kept. What stands sealed in a document
 * and open in its entry (fields, actor) cannot be compared without the connection's key; the sealed form is covered by the chain.
 */
import { z } from "zod";
import type { PublicKey } from "./anchor-keys.ts";
import { readStatement } from "./anchors.ts";
import { chainStart } from "./change-log.ts";
import { beginWalk, type ChainPlace, type Checkpoint, type Finding, type Walk, walkChain } from "./walk.ts";

const Place = z.object({ sequence: z.int(), chain: z.string() });
const Line = z.discriminatedUnion("record", [
  z.object({ record: z.literal("start"), connection: z.string(), after: Place.optional() }),
  z.object({ record: z.literal("anchor"), statement: z.string() }),
  z.object({
    record: z.literal("log"),
    first: z.int(),
    last: z.int(),
    prev: z.string(),
    body: z.string(),
  }),
  z.looseObject({ record: z.literal("entry"), sequence: z.int() }),
  z.object({ record: z.literal("end"), sequence: z.int(), chain: z.string().optional() }),
]);
type Line = z.infer<typeof Line>;

export interface VerifiedExport {
  connection: string;
  /** Before the first entry. `file`: nothing but the file itself says that it begins there. */
  from: { sequence: number; trust: "beginning" | "anchor" | "witness" | "file" };
  to: ChainPlace;
  /** What the chain was held against, in the range of the file. */
  checkpoints: string[];
  /** Statements that no key given has signed. */
  unverified: number;
  finding: (Finding & { line?: number }) | null;
}

export interface Trusted {
  keys: readonly PublicKey[];
  /** Places that the product has kept from the change feed. */
  witnesses: readonly ChainPlace[];
}

/** Throws `RangeError` when the text is no export of an audit trail. */
export const verifyExport = async (
  lines: AsyncIterable<string> | Iterable<string>,
  { keys, witnesses }: Trusted,
): Promise<VerifiedExport> => {
  const checkpoints: Checkpoint[] = witnesses.map((place) => ({ ...place, by: "witness" }));
  const statements: string[] = [];
  let start: Extract<Line, { record: "start" }> | null = null;
  let begun: { walk: Walk; from: VerifiedExport["from"] } | null = null;
  let unverified = 0;
  let shown: Shown[] = [];
  let ended: Extract<Line, { record: "end" }> | null = null;
  let finding: VerifiedExport["finding"] = null;
  let number = 0;

  const begin = (): { walk: Walk; from: VerifiedExport["from"] } => {
    if (!start) throw new RangeError("The file does not begin with the line of record `start`.");
    for (const statement of statements) {
      const read = readStatement(keys, statement);
      if (read?.connection === start.connection) checkpoints.push({ ...read, by: `anchor ${read.day}` });
      else unverified++;
    }
    const beginning: ChainPlace = { sequence: 0, chain: chainStart(start.connection) };
    const after = start.after ?? beginning;
    // That a log begins with its first entry is no claim of the file's.
    const place = after.sequence === 0 ? beginning : after;
    const same = checkpoints.find(({ sequence, chain }) => sequence === place.sequence && chain === place.chain);
    const trust = place.sequence === 0 ? "beginning" : same ? (same.by === "witness" ? "witness" : "anchor") : "file";
    return { walk: walkChain(beginWalk(place), checkpoints), from: { sequence: place.sequence, trust } };
  };

  for await (const text of lines) {
    number++;
    if (text.trim() === "") continue;
    const line = lineIn(text, number);
    if (line.record === "start") start = line;
    else if (line.record === "anchor") statements.push(line.statement);
    else {
      begun ??= begin();
      if (line.record === "entry") finding = compared(shown.shift(), line);
      else if (shown[0]) finding = { fault: "missing", first: shown[0].sequence, last: shown[0].sequence };
      else if (line.record === "log") {
        finding = begun.walk.take(line);
        const expected = finding ? [] : entriesIn(line);
        if (expected) shown = expected;
        else finding = { fault: "malformed", first: line.first, last: line.last };
      } else ended = line;
    }
    if (finding || ended) break;
  }
  begun ??= begin();
  const { walk, from } = begun;
  const { sequence, chain } = walk.state;
  if (finding) finding = { ...finding, line: number };
  else if (!ended || ended.sequence !== sequence || (ended.chain !== undefined && ended.chain !== chain))
    finding = { fault: "cut", first: sequence + 1, last: Math.max(sequence + 1, ended?.sequence ?? 0) };
  const passed = checkpoints.filter((place) => place.sequence >= from.sequence && place.sequence <= sequence);
  return {
    connection: start?.connection ?? "",
    from,
    to: { sequence, chain },
    checkpoints: passed.map(({ by, sequence: at }) => `${by} at ${at}`),
    unverified,
    finding,
  };
};

const lineIn = (text: string, number: number): Line => {
  try {
    return Line.parse(JSON.parse(text));
  } catch {
    throw new RangeError(`Line ${number} is none of an exported audit trail.`);
  }
};

interface Shown {
  sequence: number;
  /** What an entry has in clear. */
  clear: Record<string, unknown>;
}

const sealedParts = new Set(["changes", "actor"]);

const Body = z.array(z.record(z.string(), z.unknown()));

/** Null when the list holds what is no entry. */
const entriesIn = ({ first, body }: Extract<Line, { record: "log" }>): Shown[] | null =>
  Body.safeParse(JSON.parse(body)).data?.map((entry, index) => ({
    sequence: first + index,
    clear: Object.fromEntries(Object.entries(entry).filter(([name]) => !sealedParts.has(name))),
  })) ?? null;

const compared = (expected: Shown | undefined, line: Extract<Line, { record: "entry" }>): Finding | null => {
  const { sequence } = line;
  if (!expected) return { fault: "malformed", first: sequence, last: sequence };
  const same =
    expected.sequence === sequence &&
    Object.entries(expected.clear).every(([name, value]) => JSON.stringify(line[name]) === JSON.stringify(value));
  return same ? null : { fault: "altered", first: expected.sequence, last: expected.sequence };
};
