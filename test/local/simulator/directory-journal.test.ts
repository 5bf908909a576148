import { spawn } from "node:child_process";
import { appendFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { openDirectories, openJournal } from "../../../src/local/simulator/directory/journal.ts";
import { randomChanges } from "../../../src/local/simulator/directory/random-change.ts";

let folder: string;
let path: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "journal-"));
  path = join(folder, "world", "journal.ndjson");
});
afterEach(() => rmSync(folder, { recursive: true }));

const tid = "99999999-0000-4000-8000-000000000001";
const spec = { seed: 4, users: 40, groups: 20, domain: "contoso.example" };

function openShelf(now = () => 1000) {
  const journal = openJournal(path);
  return { journal, shelf: openDirectories(journal.entries, journal.append, now) };
}

const content = (shelf: ReturnType<typeof openDirectories>): unknown => {
  const { directory, oracle, spec: kept, accounts } = shelf.kept.get(tid) ?? {};
  return structuredClone({
    spec: kept,
    accounts,
    expected: oracle?.history,
    users: directory?.users,
    groups: directory?.groups,
    deletedUsers: directory?.deletedUsers,
    deletedGroups: directory?.deletedGroups,
    changes: directory && [...directory.changesBetween(0, directory.sequence)],
  });
};

describe("journal", () => {
  it("brings a tenant back with every change and the time it happened at", () => {
    const first = openShelf(() => 1234);
    const { directory } = first.shelf.create(tid, spec);
    randomChanges({ directory, seed: 1, count: 120 });
    expect(directory.deletedUsers.size).toBeGreaterThan(0);
    const before = content(first.shelf);
    first.journal.close();

    const second = openShelf(() => 9999);
    expect(content(second.shelf)).toEqual(before);
    const length = second.journal.entries.length;
    second.shelf.kept.get(tid)?.directory.apply({ op: "delete-user", id: [...directory.users.keys()][9] ?? "" });
    second.journal.close();

    const third = openShelf();
    expect(third.journal.entries).toHaveLength(length + 1);
    expect(third.shelf.kept.get(tid)?.directory.sequence).toBe(directory.sequence + 1);
    third.journal.close();
  });

  it("brings back what the oracle was shown, and when", () => {
    const first = openShelf();
    const kept = first.shelf.create(tid, spec);
    const { directory, oracle } = kept;
    for (const seed of [1, 2, 3]) {
      kept.observe();
      randomChanges({ directory, seed, count: 40 });
    }
    first.journal.close();
    expect([...oracle.view().people.values()].some(({ state }) => state === "deactivated")).toBe(true);

    const second = openShelf();
    expect(second.shelf.kept.get(tid)?.oracle.view()).toEqual(oracle.view());
    second.journal.close();
  });

  it("does not record what was refused", () => {
    const { journal, shelf } = openShelf();
    const { directory } = shelf.create(tid, spec);
    expect(() => directory.apply({ op: "delete-user", id: tid })).toThrow("does not exist");
    expect(() => shelf.create(tid, spec)).toThrow("exists already");
    journal.close();
    expect(openJournal(path).entries).toEqual([{ kind: "tenant", tid, spec }]);
  });

  it("drops a torn last line, complete JSON or not, and writes on behind the last whole one", () => {
    for (const torn of ['{"kind":"muta', '{"n":2}', "\u00fc".repeat(5)]) {
      writeFileSync(join(folder, "torn"), `{"n":1,"name":"\u6587\u5b57"}\n`);
      appendFileSync(join(folder, "torn"), Buffer.from(torn).subarray(0, -1 + (torn.endsWith("}") ? 1 : 0)));
      const journal = openJournal<{ n: number; name?: string }>(join(folder, "torn"));
      expect(journal.entries).toEqual([{ n: 1, name: "\u6587\u5b57" }]);
      journal.append({ n: 3 });
      journal.close();
      expect(readFileSync(join(folder, "torn"), "utf8")).toBe('{"n":1,"name":"\u6587\u5b57"}\n{"n":3}\n');
    }
  });

  it("refuses a file that is damaged before its end", () => {
    writeFileSync(join(folder, "damaged"), '{"n":1}\n{"n"\n{"n":3}\n');
    expect(() => openJournal(join(folder, "damaged"))).toThrow(SyntaxError);
  });

  it("holds everything that was answered when the process is killed", async () => {
    const module = new URL("../../../src/local/simulator/directory/journal.ts", import.meta.url).href;
    const program = `
      const { openJournal } = await import(${JSON.stringify(module)});
      const journal = openJournal(${JSON.stringify(path)});
      for (let n = 1; ; n++) {
        journal.append({ n });
        process.stdout.write(n + "\\n");
        if (n % 10 === 0) await new Promise((resolve) => setImmediate(resolve));
      }`;
    const child = spawn(process.execPath, ["--input-type=module", "--eval", program], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    const exited = new Promise((resolve) => child.once("exit", (_, signal) => resolve(signal)));
    let answered = "";
    for await (const chunk of child.stdout) {
      answered += String(chunk);
      if (answered.length > 400) child.kill("SIGKILL");
    }
    expect(await exited).toBe("SIGKILL");
    const last = Number(answered.split("\n").at(-2));
    expect(last).toBeGreaterThan(50);
    const journal = openJournal<{ n: number }>(path);
    expect(journal.entries.length).toBeGreaterThanOrEqual(last);
    expect(journal.entries.map(({ n }) => n)).toEqual(journal.entries.map((_, index) => index + 1));
    journal.close();
  });
});
