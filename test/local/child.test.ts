import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test, vi } from "vitest";
import { startChild } from "../../src/local/child.ts";
import type { ChildFixture, ChildReport } from "./fixtures/child.ts";

const module = new URL("./fixtures/child.ts", import.meta.url);
const directory = mkdtempSync(join(tmpdir(), "child-"));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

const fixture = (behaviour: ChildFixture["behaviour"]): ChildFixture => ({
  behaviour,
  secret: "k3y-of-nobody",
  trace: join(directory, `${behaviour}.trace`),
});

test("hands options over without showing them to other processes, under the same node", async () => {
  const child = await startChild<ChildFixture, ChildReport>(module, fixture("echo"), { env: { COLOUR: "blue" } });
  expect(child.ready.secret).toBe("k3y-of-nobody");
  expect(child.ready.whatOthersCanSee).not.toContain("k3y-of-nobody");
  expect(child.ready.whatOthersCanSee).toContain('"COLOUR":"blue"');
  expect(child.ready.node).toBe(process.execPath);
  await child.kill();
});

test("closes in order when stopped and without a word when killed", async () => {
  const lines: string[] = [];
  const stopped = await startChild<ChildFixture, ChildReport>(module, fixture("echo"), {
    onOutput: (line) => lines.push(line),
  });
  await stopped.stop();
  expect(await stopped.exited).toEqual({ code: 0, signal: null });
  expect(readFileSync(fixture("echo").trace, "utf8")).toBe("echo\nexit 0\n");
  await vi.waitFor(() => expect(lines).toContain("closing"), { timeout: 30_000 });

  const killed = await startChild<ChildFixture, ChildReport>(module, fixture("never-closes"));
  await killed.kill();
  expect(await killed.exited).toEqual({ code: null, signal: "SIGKILL" });
  expect(existsSync(fixture("never-closes").trace)).toBe(false);
});

test("rejects with the message of a start that throws and with the last words of a child that exits", async () => {
  await expect(startChild(module, fixture("throw"), { onOutput: () => undefined })).rejects.toThrow(
    /^port 4711 is taken$/,
  );
  await expect(startChild(module, fixture("exit"), { onOutput: () => undefined })).rejects.toThrow(
    /ended \(3\) before it was ready\ndisk is full/,
  );
});

test("a child whose parent was killed closes in order and is gone", async () => {
  const parent = await startChild<ChildFixture, ChildReport>(module, fixture("family"), { onOutput: () => undefined });
  expect(existsSync(fixture("family").trace)).toBe(false);
  await parent.kill();
  await vi.waitFor(() => expect(readFileSync(fixture("family").trace, "utf8")).toBe("echo\nexit 0\n"), {
    timeout: 20_000,
  });
});
