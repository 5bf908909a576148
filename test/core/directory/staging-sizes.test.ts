/** Staged parts stay below what the database takes for a document, however much one page or one stretch of reading brings. */
import { randomBytes, randomUUID } from "node:crypto";
import { setTimeout as pause } from "node:timers/promises";
import { expect, it } from "vitest";
import { keyRing, newRingContent, newRunKey } from "../../../src/core/crypto/key-ring.ts";
import type { Change, PersonChange } from "../../../src/core/directory/plan.ts";
import { readAll } from "../../../src/core/directory/run/basis.ts";
import { newCursor } from "../../../src/core/directory/run/cursor.ts";
import { noCounts } from "../../../src/core/directory/run/round.ts";
import { Staging } from "../../../src/core/directory/run/staging.ts";
import { AppError } from "../../../src/core/errors.ts";
import type { WorkStore } from "../../../src/core/store/ports.ts";
import { testAmbient } from "../test-ambient.ts";

/** Of a document, less what the fields beside the content take. */
const maxContent = 2_000_000;

const ambient = testAmbient();
const ring = keyRing(newRingContent(ambient));
const { key } = newRunKey(ambient);
const idOf = (): string => randomBytes(16).toString("base64url");

/** @param before what happens before a part is put */
const stage = (before: (id: string) => Promise<void> | void = () => {}) => {
  const parts = new Map<string, string>();
  const work: WorkStore = {
    put: async (_run, { id, content }) => {
      await before(id);
      expect(content.length).toBeLessThan(maxContent);
      parts.set(id, content);
    },
    get: async (_run, id) => parts.get(id) ?? null,
    drop: async () => undefined,
  };
  const needs = { ambient, work, ring, runId: "r", owner: "o", key, counts: noCounts(), dry: false };
  const cursor = newCursor(readAll, true, null);
  return {
    parts,
    staging: new Staging(needs, cursor),
    again: (staged: object) => new Staging(needs, { ...cursor, ...staged }),
  };
};

it("objects met without a change are remembered over a checkpoint, 70,000 at once", async () => {
  const { staging, again } = stage();
  const people = Array.from({ length: 70_000 }, idOf);
  for (const id of people) staging.plan("users", id, null, null, false);
  const resumed = again(await staging.flush());
  await resumed.resume();
  expect(people.filter((id) => !resumed.met("users", id))).toEqual([]);
  expect(resumed.met("users", idOf())).toBe(false);
});

it("memberships of one page come back complete and in order, 90,000 of one group and some of others", async () => {
  const { staging, again } = stage();
  const told = { add: Array.from({ length: 90_000 }, idOf), remove: Array.from({ length: 7_000 }, idOf) };
  const groups = Array.from(
    { length: 300 },
    (_, index) => `0000000b-0000-4000-8000-${String(index).padStart(12, "0")}`,
  );
  const [large = "", ...others] = groups;
  for (const id of told.add) staging.told.add(large, "add", id);
  for (const id of told.remove) staging.told.add(large, "remove", id);
  for (const group of others) staging.told.add(group, "addChildren", large);
  const resumed = again(await staging.flush());
  const parts = await resumed.told.partsByGroup();
  expect([...parts.keys()].toSorted()).toEqual(groups);
  expect(await resumed.told.of(large, parts.get(large) ?? [])).toEqual({
    ...told,
    addChildren: [],
    removeChildren: [],
  });
  for (const group of others)
    expect((await resumed.told.of(group, parts.get(group) ?? [])).addChildren).toEqual([large]);
});

it.each(["fields", "known"] as const)(
  "people with hundreds of addresses each in their %s come back complete, fewer of them to a part",
  async (where) => {
    const { staging, again } = stage();
    const address = (): string => `smtp:${randomBytes(45).toString("base64url")}@contoso.example`;
    const people = Array.from({ length: 200 }, (): PersonChange => {
      const proxyAddresses = Array.from({ length: 300 }, address);
      const record = { oid: randomUUID(), manager: null, fields: {}, known: {}, [where]: { proxyAddresses } };
      return { kind: "person", id: idOf(), op: "create", from: null, to: "active x", record };
    });
    for (const person of people) staging.plan("users", person.id, person, null, false);
    const resumed = again(await staging.flush());
    const found: Change[] = [];
    for (let chunk = 0; chunk < resumed.chunks("people+"); chunk++)
      found.push(...(await resumed.chunk("people+", chunk)));
    expect(found).toEqual(people);
  },
);

it("people as they mostly are share a part, by the hundred", async () => {
  const { staging } = stage();
  for (let number = 0; number < 1000; number++) {
    const record = { oid: randomUUID(), manager: null, fields: { displayName: `Person ${number}` }, known: {} };
    staging.plan(
      "users",
      idOf(),
      { kind: "person", id: idOf(), op: "create", from: null, to: "active x", record },
      null,
      false,
    );
  }
  expect(staging.chunks("people+")).toBe(3);
});

it("a part that cannot be written fails the flush when no other is on its way any more", async () => {
  const { staging, parts } = stage((id) => {
    if (id.startsWith("people+:0")) throw new AppError("store-unavailable");
    return pause(20);
  });
  for (let number = 0; number < 1000; number++) {
    const id = idOf();
    const record = { oid: randomUUID(), manager: null, fields: { displayName: `Person ${number}` }, known: {} };
    staging.plan("users", id, { kind: "person", id, op: "create", from: null, to: "active x", record }, null, false);
  }
  await expect(staging.flush()).rejects.toThrow(AppError);
  expect([...parts.keys()].map((id) => id.split(":")[1]).toSorted()).toEqual(["1", "2"]);
});
