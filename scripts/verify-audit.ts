/**
 * Verifies an audit trail: a file that `GET .../audit/export?format=jsonl` gave, or the stored log, through the app's own settings.
 *
 *   npm run verify-audit -- FILE [--keys FILE] [--witness SEQUENCE:CHAIN]...
 *   npm run verify-audit -- --connection ID [--from TIME] [--to TIME]
 *
 * Ends with 0 when everything is as it was recorded, with 1 when not, with 2 when it cannot tell.
 */
import { createReadStream, readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { parseArgs } from "node:util";
import { z } from "zod";
import { useCases } from "../src/composition.ts";
import { PublicKey } from "../src/core/audit/anchor-keys.ts";
import { verifyExport } from "../src/core/audit/verify-export.ts";
import type { Finding } from "../src/core/audit/walk.ts";

const documentsAtOnce = 2000;

const meanings: Record<Finding["fault"], string> = {
  missing: "entries are not there",
  malformed: "a document does not hold the entries that it says",
  altered: "the text was changed",
  rewritten: "the chain holds in itself but does not lead to what was kept elsewhere",
  cut: "the end is missing",
};

const sayFinding = ({ fault, first, last, by }: Finding): void => {
  const where = first === last ? `is ${first}` : `is one of ${first} to ${last}`;
  console.log(`The first bad entry ${where}: ${meanings[fault]}${by === undefined ? "" : ` (${by})`}.`);
};

const trusts = {
  beginning: "the beginning of the log",
  anchor: "an anchor in the vault",
  witness: "a witness",
  log: "the oldest entry there is; no anchor is older",
  file: "the file's own word: give a key with --keys, or a witness",
} as const;

const ofFile = async (
  path: string,
  keysPath: string | undefined,
  witnessTexts: readonly string[],
): Promise<boolean> => {
  const keys =
    keysPath === undefined
      ? []
      : z.object({ keys: z.array(PublicKey) }).parse(JSON.parse(readFileSync(keysPath, "utf8"))).keys;
  const witnesses = witnessTexts.map((text) => {
    const [, sequence, chain = ""] = /^(\d+):([0-9a-f]{64})$/.exec(text) ?? [];
    if (sequence === undefined) throw new RangeError(`${text} is no SEQUENCE:CHAIN.`);
    return { sequence: Number(sequence), chain };
  });
  const lines = createInterface({ input: createReadStream(path, "utf8"), crlfDelay: Number.POSITIVE_INFINITY });
  const { connection, from, to, checkpoints, unverified, finding } = await verifyExport(lines, { keys, witnesses });
  console.log(`Connection ${connection}, entries ${from.sequence + 1} to ${to.sequence}, from ${trusts[from.trust]}.`);
  for (const checkpoint of checkpoints) console.log(`Held against ${checkpoint}.`);
  if (unverified > 0) console.log(`${unverified} anchors in the file were not signed by a key given with --keys.`);
  if (finding) sayFinding(finding);
  else console.log(`As recorded. Chain at ${to.sequence}: ${to.chain}`);
  return finding === null;
};

const ofStore = async (connection: string, from: string | undefined, to: string | undefined): Promise<boolean> => {
  const cases = useCases();
  try {
    const range = { from: from === undefined ? null : timeIn(from), to: to === undefined ? null : timeIn(to) };
    let begunAt: string | null = null;
    for (let after: string | undefined; ; ) {
      const page = await cases.verifyStoredLog(connection, range, {
        limit: documentsAtOnce,
        ...(after === undefined ? {} : { after }),
      });
      begunAt ??= `Connection ${connection}, from entry ${page.from.sequence + 1}, ${trusts[page.from.trust]}.`;
      if (after === undefined) console.log(begunAt);
      for (const { by, sequence } of page.checkpoints)
        if (sequence <= page.to.sequence) console.log(`Held against ${by} at ${sequence}.`);
      if (page.finding) sayFinding(page.finding);
      if (page.brokenAnchors.length > 0)
        console.log(`Anchors that no key of the vault has signed: ${page.brokenAnchors.join(", ")}.`);
      if (page.finding) return false;
      if (page.next === null) {
        console.log(`As recorded. Chain at ${page.to.sequence}: ${page.to.chain}`);
        return page.brokenAnchors.length === 0;
      }
      after = page.next;
    }
  } finally {
    cases.dispose();
  }
};

const timeIn = (text: string): number => {
  const time = Date.parse(text);
  if (Number.isNaN(time)) throw new RangeError(`${text} is no time.`);
  return time;
};

const verified = async (): Promise<boolean> => {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      keys: { type: "string" },
      witness: { type: "string", multiple: true, default: [] },
      connection: { type: "string" },
      from: { type: "string" },
      to: { type: "string" },
    },
  });
  const [file, ...more] = positionals;
  if (values.connection !== undefined && file === undefined) return ofStore(values.connection, values.from, values.to);
  if (file === undefined || more.length > 0 || values.connection !== undefined)
    throw new RangeError("Name one file, or a connection with --connection.");
  return ofFile(file, values.keys, values.witness);
};

try {
  process.exitCode = (await verified()) ? 0 : 1;
} catch (error) {
  console.error(error instanceof Error ? error.message : String(error));
  process.exitCode = 2;
}
