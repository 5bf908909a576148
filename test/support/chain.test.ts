import { globSync, readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { chainStart, logDocument, plainEntry } from "../../src/core/audit/change-log.ts";
import { newHead } from "../../src/core/store/head.ts";
import { testAmbient } from "../core/test-ambient.ts";
import { chainFaults } from "./chain.ts";

const ambient = testAmbient();
const id = ambient.ulid();
const entry = () => plainEntry(ambient, { kind: "connection", op: "updated", object: "connection", cause: "api" });
const first = logDocument(id, { sequence: 0, chain: chainStart(id) }, ambient.now(), [entry()]);
const second = logDocument(id, first, ambient.now(), [entry(), entry()]);
const head = { ...newHead(id, "c"), sequence: second.sequence, chain: second.chain };
const dump = (...documents: object[]): string =>
  documents.map((document) => JSON.stringify({ container: "directory", partitionKey: id, document })).join("\n");

it("is followed after every end-to-end test: by the stack when it stops, or by the command line that was started", () => {
  const files = globSync("test/e2e/*.test.ts");
  const texts = files.map((file) => ({ file, text: readFileSync(file, "utf8") }));
  const withDatabase = texts.filter(({ text }) => /local\/(stack|start|cosmos)|support\/stack|start\.ts/.test(text));
  expect(withDatabase.length).toBeGreaterThan(8);
  const without = withDatabase.filter(({ text }) => !/startTestStack\(|chainVerified: true/.test(text));
  expect(without.map(({ file }) => file)).toEqual([]);
});

it("holds for what was recorded, in whatever order it is dumped", () => {
  expect(chainFaults(dump(second.doc, head, first.doc))).toEqual([]);
  expect(chainFaults(dump({ ...head, ttl: 60 }))).toEqual([]);
});

it.each([
  ["a record that was dropped", dump(head, second.doc), "missing"],
  ["the newest record dropped", dump(head, first.doc), "cut"],
  [
    "a record that was altered",
    dump(head, { ...first.doc, body: first.doc.body.replace("api", "run") }, second.doc),
    "altered",
  ],
  [
    "a head that does not know the newest",
    dump({ ...head, sequence: first.sequence, chain: first.chain }, first.doc, second.doc),
    "malformed",
  ],
])("does not hold for %s", (_, text, fault) => {
  const faults = chainFaults(text);
  expect(faults).toHaveLength(1);
  expect(faults.join()).toContain(fault);
});
