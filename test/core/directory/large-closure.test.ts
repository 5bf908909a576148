/** However many groups lie in the selected ones, head stays small: it is written with every commit, and a document ends at 2 MB. */
import { expect, it } from "vitest";
import { Settings } from "../../../src/core/connections/settings.ts";
import { keyRing, newRingContent, newRunKey } from "../../../src/core/crypto/key-ring.ts";
import { readAll } from "../../../src/core/directory/run/basis.ts";
import { type Cursor, newCursor, type Step } from "../../../src/core/directory/run/cursor.ts";
import { Nesting } from "../../../src/core/directory/run/nesting.ts";
import { noCounts, type Round } from "../../../src/core/directory/run/round.ts";
import { Staging } from "../../../src/core/directory/run/staging.ts";
import type { WorkStore } from "../../../src/core/store/ports.ts";
import { type Stage, wideSettings } from "../../support/sync-stage.ts";
import { testAmbient } from "../test-ambient.ts";
import { group, guid, openScene, people, range, withStage } from "./trap-scene.ts";

const maxContent = 2_000_000;
const maxHead = 64_000;

const ambient = testAmbient();
const ring = keyRing(newRingContent(ambient));
const { key } = newRunKey(ambient);
const step = (name: Step): Cursor["at"] => ({ phase: "reading", step: name, after: "" });

const stored = new Map<string, string>();
const work: WorkStore = {
  put: async (_run, { id, content }) => {
    expect(content.length).toBeLessThan(maxContent);
    stored.set(id, content);
  },
  get: async (_run, id) => stored.get(id) ?? null,
  drop: async () => undefined,
};
const stagingOf = (cursor: Cursor, owner: string): Staging =>
  new Staging({ ambient, work, ring, runId: "r", owner, key, counts: noCounts(), dry: false }, cursor);

const nested = Settings.parse(wideSettings);
Object.assign(nested.people, { from: "groups", groups: [guid(500)], membership: "nested" });
const noStore: Partial<Round["needs"]["store"]> = { load: async () => new Map() };
const nestingOf = (cursor: Cursor, staging: Staging): Nesting => {
  const needs = { store: noStore } as Round["needs"];
  const connection = { connectionId: "c", ring, settings: nested } as Round["connection"];
  return new Nesting({ cursor, staging, links: null, needs, connection });
};

it("what is remembered of 20,000 nested groups lies in parts of the run, and is found again in the next slice", async () => {
  const count = 20_000;
  const cursor = newCursor(readAll, false, null);
  const staging = stagingOf(cursor, "01FIRSTWORKER00000000000000");
  // A tree: each holds the two that come next.
  const groups = range(500, count).map(guid);
  for (const [index, id] of groups.entries()) {
    staging.notes.add("group", id);
    staging.notes.add("role", id);
    staging.notes.add("unknown", id);
    staging.plan("groups", id, null, null, false);
    const children = groups.slice(2 * index + 1, 2 * index + 3);
    for (const child of children) staging.told.add(id, "addChildren", child);
    staging.planMembers({ group: id, op: "add", people: [], children, counted: true });
    if (index % 5000 === 4999) Object.assign(cursor, await staging.flush());
  }
  expect(JSON.stringify(cursor).length).toBeLessThan(4000);

  const resumed = stagingOf(cursor, "01SECONDWORKER0000000000000");
  await resumed.resume();
  expect(groups.filter((id) => !resumed.notes.wasRead(id) || !resumed.notes.unknown.has(id))).toEqual([]);
  for (const at of [step("admitting"), step("unwanted-groups")]) {
    const { scope } = await nestingOf({ ...cursor, at }, resumed).closures();
    expect(scope.size).toBe(count);
  }
});

it("700 workers one after another who have written something leave head small, and one who has not leaves nothing", async () => {
  const cursor = newCursor(readAll, false, null);
  for (let slice = 0; slice < 700; slice++) {
    const staging = stagingOf(cursor, ambient.ulid());
    staging.notes.add("group", guid(500 + slice));
    Object.assign(cursor, await staging.flush());
  }
  for (let idle = 0; idle < 3; idle++) Object.assign(cursor, await stagingOf(cursor, ambient.ulid()).flush());
  expect(cursor.writers).toHaveLength(701);
  expect(JSON.stringify(cursor).length * (4 / 3)).toBeLessThan(maxHead);
  const resumed = stagingOf(cursor, ambient.ulid());
  await resumed.resume();
  expect(range(500, 700).filter((number) => !resumed.notes.wasRead(guid(number)))).toEqual([]);
});

let stage: Stage;
withStage(23, (started) => {
  stage = started;
});

/** Bytes of head at its largest while a group is selected in which so many others lie, one in another. */
const largestHead = async (count: number): Promise<number> => {
  const groups = range(501, count).map((number) => group(number, [1 + (number % 5), number + 1]));
  // The innermost first: a group can only hold what is there.
  const before = [...people(6), group(501 + count, [6]), ...groups.toReversed(), group(500, [6, 501]), group(900, [1])];
  const s = await openScene(stage, { before, label: `${count}` });
  const healthy = stage.needs;
  const select = async (number: number): Promise<void> => {
    const { settings } = await s.connection();
    const chosen = { from: "groups" as const, groups: [guid(number)], membership: "nested" as const };
    await s.lay({ settings: { people: { ...settings.people, ...chosen } } });
  };
  await select(900);
  await s.sync("full");
  await select(500);
  let largest = 0;
  stage.needs = {
    ...healthy,
    sliceMilliseconds: 24 * 3_600_000,
    store: {
      ...healthy.store,
      write: (connectionId, writes) => {
        const head = writes.find((write) => write.op === "replace" && write.doc.kind === "head");
        largest = Math.max(largest, JSON.stringify(head).length);
        return healthy.store.write(connectionId, writes);
      },
    },
    source: {
      ...healthy.source,
      members: (connection, id, link) => {
        // So long that what was read is written, and the place in head with it.
        stage.ambient.advance(25_000);
        return healthy.source.members(connection, id, link);
      },
    },
  };
  await s.sync();
  stage.needs = healthy;
  expect(Object.keys((await s.held()).groups)).toHaveLength(count + 2);
  return largest;
};

it("head is no larger while 60 nested groups are read one by one than while 10 are", async () => {
  const few = await largestHead(10);
  expect((await largestHead(60)) - few).toBeLessThan(2000);
});
