import { describe, expect, it } from "vitest";
import { chainNext, chainStart } from "../../../src/core/audit/change-log.ts";
import { beginWalk, type Checkpoint, type Finding, type LoggedPart, walkChain } from "../../../src/core/audit/walk.ts";

const start = { sequence: 0, chain: chainStart("01k-a") };

/** Documents of two entries each. */
const logOf = (texts: readonly string[], from = start) => {
  let { sequence, chain } = from;
  const places = [from];
  const docs = texts.map((text): LoggedPart => {
    const doc = { first: sequence + 1, last: sequence + 2, prev: chain, body: JSON.stringify([text, text]) };
    chain = chainNext(chain, doc.first, doc.last, doc.body);
    sequence = doc.last;
    places.push({ sequence, chain });
    return doc;
  });
  return { docs, places };
};

const { docs, places } = logOf(["a", "b", "c", "d", "e"]);
const [a, b, c, d, e] = docs as [LoggedPart, LoggedPart, LoggedPart, LoggedPart, LoggedPart];
const at = (index: number, by: string): Checkpoint => ({ ...(places[index] ?? start), by });
const anchors = [at(1, "anchor 1"), at(3, "anchor 2"), at(5, "head")];
const rewritten = logOf(["X", "d", "e"], places[2]).docs;

const found = (log: readonly LoggedPart[], checkpoints: readonly Checkpoint[] = anchors): Finding | null => {
  const walk = walkChain(beginWalk(start), checkpoints);
  for (const doc of log) {
    const finding = walk.take(doc);
    if (finding) return finding;
  }
  return walk.end();
};

describe("a walk along the chain", () => {
  it("finds nothing where nothing is wrong, from every place between two documents", () => {
    expect(found(docs)).toBeNull();
    for (let from = 0; from < docs.length; from++) {
      const walk = walkChain(beginWalk(places[from] ?? start), anchors);
      for (const doc of docs.slice(from)) expect(walk.take(doc)).toBeNull();
      expect(walk.end()).toBeNull();
      expect(walk.state).toMatchObject({ ...places[5], good: 10 });
    }
  });

  it.each<[string, LoggedPart[], Finding]>([
    ["a document that was taken out", [a, b, d, e], { fault: "missing", first: 5, last: 6 }],
    ["the first one taken out", [b, c], { fault: "missing", first: 1, last: 2 }],
    ["a text that was changed", [a, { ...b, body: '["b","B"]' }, c], { fault: "altered", first: 3, last: 4 }],
    ["a prev that was changed", [a, b, { ...c, prev: start.chain }], { fault: "altered", first: 3, last: 4 }],
    ["a first document of another log", [{ ...a, prev: "00".repeat(32) }], { fault: "altered", first: 1, last: 2 }],
    ["an entry taken out of a document", [a, { ...b, body: '["b"]' }, c], { fault: "malformed", first: 3, last: 4 }],
    ["a document that is there twice", [a, b, b], { fault: "malformed", first: 3, last: 5 }],
    ["the end taken away", [a, b, c], { fault: "cut", first: 7, last: 10, by: "head" }],
    ["all of it taken away", [], { fault: "cut", first: 1, last: 2, by: "anchor 1" }],
    [
      "a log that was computed anew from its third document on",
      [a, b, ...rewritten],
      { fault: "rewritten", first: 3, last: 6, by: "anchor 2" },
    ],
    [
      "the last document changed",
      [a, b, c, d, { ...e, body: '["e","E"]' }],
      { fault: "rewritten", first: 7, last: 10, by: "head" },
    ],
  ])("names %s", (_, log, finding) => {
    expect(found(log)).toEqual(finding);
  });

  it("can go on from where it stopped, and still says which document was altered", () => {
    const first = walkChain(beginWalk(start), anchors);
    for (const doc of [a, { ...b, body: '["b","B"]' }]) expect(first.take(doc)).toBeNull();
    const second = walkChain(JSON.parse(JSON.stringify(first.state)), anchors);
    expect(second.take(c)).toEqual({ fault: "altered", first: 3, last: 4 });
  });

  it("tells a checkpoint of another log at the place where it begins", () => {
    const wrong = [{ ...start, chain: "00".repeat(32), by: "witness" }];
    expect(found([a], wrong)).toMatchObject({ fault: "rewritten", by: "witness" });
  });
});
