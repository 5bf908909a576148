import { globSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { entriesOf, plainEntry } from "../../../src/core/audit/change-log.ts";
import type { EntryDraft } from "../../../src/core/audit/entries.ts";
import { unrecorded } from "../../../src/core/audit/record-rule.ts";
import { commit } from "../../../src/core/store/commit.ts";
import { ids } from "../../../src/core/store/documents.ts";
import type { DirectoryStore, Expiry, Write } from "../../../src/core/store/ports.ts";
import { linkProductUser } from "../../../src/core/views/link-product-user.ts";
import { type Stage, startStage } from "../../support/sync-stage.ts";
import { caller } from "../views-stage.ts";

interface Sent {
  writes: (Write | Expiry)[];
  entries: EntryDraft[];
}

let stage: Stage;
let connectionId: string;
/** Every batch that reached the database while a tenant was read, lived, and was linked. */
const sent: Sent[] = [];

beforeAll(async () => {
  stage = await startStage();
  const { write } = stage.store;
  const recording: DirectoryStore["write"] = (id, batch) => {
    const log = batch.find((each) => each.op === "create" && each.doc.kind === "log");
    const entries = log && "doc" in log && log.doc.kind === "log" ? entriesOf(log.doc) : [];
    const isOwn = (each: Write | Expiry): boolean =>
      "doc" in each && (each.doc.kind === "log" || each.doc.kind === "head");
    sent.push({ writes: batch.filter((each) => !isOwn(each)), entries });
    return write(id, batch);
  };
  stage.store.write = recording;
  const tid = stage.tenant({ users: 40, groups: 8, seed: 3 });
  const connected = await stage.connect(tid);
  connectionId = connected.connectionId;
  sent.length = 0;
  await stage.sync(connectionId, "full");
  for (const seed of [1, 2]) {
    stage.simulator.commands["random-changes"].run({ tid, seed, count: 20 });
    await stage.sync(connectionId);
  }
  // Whoever has left meanwhile cannot be linked.
  const people = await stage.store.list(connectionId, "person", { limit: 100 });
  const person = people.find(({ state }) => state === "active");
  const needs = { ...stage.needs, keys: { ring: () => Promise.resolve(connected.context.ring) } };
  for (const productUserId of ["p-1", "p-2", null])
    await linkProductUser(needs)(caller("integration:sync"), connectionId, person?.id.slice(2) ?? "", undefined, {
      productUserId,
    });
});
afterAll(() => stage.close());

describe("every change that was stored", () => {
  it("came with its record", () => {
    expect(sent.length).toBeGreaterThan(8);
    for (const { writes, entries } of sent) expect(unrecorded(writes, entries)).toBeNull();
  });

  it("would have been refused without it: no entry about a person, a group or a link can be dropped", () => {
    const kinds = new Set<string>();
    for (const { writes, entries } of sent)
      for (const entry of entries) {
        const about = writes.filter(
          (write) =>
            unrecorded(
              [write],
              entries.filter((each) => each !== entry),
            ) !== null,
        );
        for (const write of about) {
          kinds.add(`${entry.kind}.${entry.op}`);
          expect(
            unrecorded(
              writes,
              entries.filter((each) => each !== entry),
            ),
          ).not.toBeNull();
          expect(unrecorded([write], entries)).toBeNull();
        }
      }
    expect([...kinds].toSorted()).toEqual(
      expect.arrayContaining(["group.created", "person.created", "person.deactivated", "product-user.changed"]),
    );
  });
});

describe("a commit", () => {
  const head = async () => {
    const found = await stage.store.read(connectionId, "head", ids.head);
    if (!found) throw new Error("no head");
    return found;
  };

  it("without the record of what it changes is refused, and nothing is written", async () => {
    const before = await head();
    const [{ _etag, ...person }] = (await stage.store.list(connectionId, "person", { limit: 1 })) as [
      Awaited<ReturnType<typeof stage.store.list<"person">>>[number],
    ];
    const writes: Write[] = [{ op: "replace", doc: { ...person, state: "deactivated" }, etag: _etag }];
    const about = (object: string) =>
      plainEntry(stage.ambient, { kind: "person", op: "deactivated", object, cause: "api" });
    for (const entries of [[], [about("somebody-else")]])
      await expect(commit(stage, before, { writes, entries })).rejects.toThrow("without its record: person");
    expect(await head()).toEqual(before);
    expect((await commit(stage, before, { writes, entries: [about(person.id.slice(2))] })).outcome).toBe("committed");
  });

  it("writes head and log itself, and takes them from nobody", async () => {
    const { _etag, ...before } = await head();
    const [log] = await stage.store.log(connectionId, 0, 1);
    if (!log) throw new Error("no log");
    const { _etag: etag, ...doc } = log;
    for (const write of [
      { op: "replace", doc: before, etag: _etag },
      { op: "replace", doc, etag },
      { op: "delete", id: log.id, etag },
      { op: "delete", id: ids.person("somebody"), etag },
    ] satisfies Write[])
      await expect(commit(stage, await head(), { writes: [write] })).rejects.toThrow("without its record");
  });
});

it("nothing but a commit, and the making of a connection, writes to a directory", () => {
  const root = resolve(import.meta.dirname, "../../..");
  const writers = globSync(
    ["src/core/**/*.ts", "src/functions/**/*.ts", "src/composition.ts", "src/composition/*.ts"],
    { cwd: root },
  ).filter((file) => /\bstore\.write\(/.test(readFileSync(join(root, file), "utf8")));
  expect(writers.toSorted()).toEqual(["src/core/connections/create.ts", "src/core/store/commit.ts"]);
});
