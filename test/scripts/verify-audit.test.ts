import { execFile } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { chainNext, chainStart } from "../../src/core/audit/change-log.ts";

const root = resolve(import.meta.dirname, "../..");
let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "verify-audit-"));
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

const connection = "0".repeat(26);
const entry = { id: "e1", at: "2026-11-22T00:00:00.000Z", kind: "connection", op: "created", object: "connection" };
const body = JSON.stringify([entry]);
const start = { sequence: 0, chain: chainStart(connection) };
const chain = chainNext(start.chain, 1, 1, body);

const linesOf = (shown: object) =>
  [
    { record: "start", connection, after: start },
    { record: "log", first: 1, last: 1, prev: start.chain, at: entry.at, body },
    { record: "entry", sequence: 1, ...shown },
    { record: "end", sequence: 1, chain },
  ]
    .map((line) => `${JSON.stringify(line)}\n`)
    .join("");

const run = (...args: string[]): Promise<{ code: number; said: string }> =>
  new Promise((done) => {
    execFile(process.execPath, ["scripts/verify-audit.ts", ...args], { cwd: root }, (error, stdout, stderr) => {
      done({ code: typeof error?.code === "number" ? error.code : 0, said: stdout + stderr });
    });
  });

describe("npm run verify-audit", () => {
  it("says that a file is as it was recorded, and what it was held against", async () => {
    const file = join(directory, "good.jsonl");
    writeFileSync(file, linesOf(entry));
    const { code, said } = await run(file, "--witness", `1:${chain}`);
    expect(said).toContain("Held against witness at 1.");
    expect(said).toContain(`Chain at 1: ${chain}`);
    expect(code).toBe(0);
  });

  it("names the first bad entry", async () => {
    const file = join(directory, "bad.jsonl");
    writeFileSync(file, linesOf({ ...entry, op: "updated" }));
    const { code, said } = await run(file);
    expect(said).toContain("The first bad entry is 1:");
    expect(code).toBe(1);
  });

  it("says when it cannot tell", async () => {
    expect((await run()).code).toBe(2);
    expect((await run(join(directory, "none.jsonl"))).code).toBe(2);
    const { code, said } = await run("--connection", connection);
    expect(code).toBe(2);
    expect(said).toContain("COSMOS_ENDPOINT");
  });
});
