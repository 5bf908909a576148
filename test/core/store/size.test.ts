import { expect, it } from "vitest";
import type { Write } from "../../../src/core/store/ports.ts";
import { emptySize, grown, partitionBytes } from "../../../src/core/store/size.ts";
import { personDoc } from "../../adapters/cosmos-fixture.ts";

const ttlSeconds = 400 * 86_400;
const day = 86_400_000;
const doc = personDoc("c1", "ada");
const bytes = JSON.stringify(doc).length;

it("counts what is created, what a replaced document grows by, and what a deleted one frees", () => {
  const add = (size: typeof emptySize, write: Write) => grown(size, { writes: [write], logBytes: 0 }, 0, ttlSeconds);
  const created = add(emptySize, { op: "create", doc });
  expect(created.documents).toBe(bytes);
  const replaced = add(created, { op: "replace", doc, etag: "e", grows: 50 });
  expect(replaced.documents).toBe(bytes + 50);
  expect(add(replaced, { op: "delete", id: doc.id, etag: "e", grows: -bytes - 50 }).documents).toBe(0);
});

it("comes to rest at one lifetime's worth of a log that grows evenly", () => {
  let size = emptySize;
  for (let now = day; now <= 5000 * day; now += day)
    size = grown(size, { writes: [], logBytes: 1000 }, now, ttlSeconds);
  expect(size.log / (400 * 1000)).toBeCloseTo(1, 1);
});

it("forgets a log to which nothing is added any more", () => {
  const size = grown(emptySize, { writes: [], logBytes: 1_000_000 }, day, ttlSeconds);
  expect(partitionBytes(size, day, ttlSeconds)).toBe(1_000_000);
  expect(partitionBytes(size, 2000 * day, ttlSeconds)).toBeLessThan(10_000);
});
