/**
 * What every operation on Microsoft 365 can rely on, and has to hold: shown with one that this test brings. The world of the test
 * is a group, and the operation adds somebody to it.
 */
import { afterAll, beforeAll, beforeEach, describe, expect, expectTypeOf, test } from "vitest";
import { entriesOf } from "../../../src/core/audit/change-log.ts";
import { contentOf } from "../../../src/core/audit/content.ts";
import { contextFor } from "../../../src/core/connections/open.ts";
import type { ConnectionContext } from "../../../src/core/context.ts";
import { newPersonKey } from "../../../src/core/crypto/key-ring.ts";
import { AppError } from "../../../src/core/errors.ts";
import { type Intended, type Operation, perform } from "../../../src/core/operations/perform.ts";
import { callMilliseconds, type Intention, postpone } from "../../../src/core/operations/record.ts";
import { resolveOperations } from "../../../src/core/operations/resolve.ts";
import { commit } from "../../../src/core/store/commit.ts";
import { ids, type OperationDoc } from "../../../src/core/store/documents.ts";
import { sealedText } from "../../adapters/cosmos-fixture.ts";
import { mortal } from "../../support/mortal.ts";
import { headIn } from "../closing-stage.ts";
import { caller, connected, openStage, type Stage } from "../connections-stage.ts";

interface Target {
  group: string;
  member: string;
}

let stage: Stage;
let connection: ConnectionContext;
let name = 0;
beforeAll(async () => {
  stage = await openStage();
});
afterAll(() => stage.close());
beforeEach(async () => {
  stage.microsoft.person.authTime = Math.floor(stage.ambient.now() / 1000);
  const { id } = await connected(stage, caller(), `Connection ${(name += 1)}`);
  connection = (await stage.cases.open("acme", id)).context;
});

/** A group of Microsoft's, and how it behaves. */
const newWorld = () => {
  const world = {
    members: new Set<string>(),
    calls: 0,
    checks: 0,
    /** Thrown after the effect, or instead of it. */
    answer: null as { error: unknown; hasEffect: boolean } | null,
    checkable: true,
    recordedBefore: [] as string[],
    operation: null as unknown as Operation<Target>,
  };
  world.operation = {
    name: "add-member",
    call: async (intended, { connectionId }, { member }) => {
      world.calls++;
      expect(intended.isRecorded).toBe(true);
      world.recordedBefore = (await recorded(connectionId)).map(({ op }) => op);
      if (world.answer?.hasEffect ?? true) world.members.add(member);
      if (world.answer) throw world.answer.error;
    },
    check: async (_connection, { member }) => {
      world.checks++;
      if (!world.checkable) throw new AppError("graph-throttled");
      return world.members.has(member) ? { outcome: "done" } : { outcome: "refused", code: "graph-refused" };
    },
  };
  return world;
};

const intention: Intention<Target> = {
  about: { group: "g-1" },
  changes: [{ field: "members", before: null, after: "m-1" }],
  target: { group: "g-1", member: "m-1" },
};
const by = { ...caller(), subject: "grace" };

const recorded = async (connectionId = connection.connectionId) =>
  (await stage.store.log(connectionId, 0, 100)).flatMap(entriesOf).filter(({ kind }) => kind === "operation");
const told = async () => (await recorded()).map(({ op, evidence = "" }) => `${op} ${evidence}`.trim());
const open = (): Promise<OperationDoc[]> => stage.store.list(connection.connectionId, "operation", { limit: 10 });
const tick = (operation: Operation<Target>, needs = stage.needs) =>
  resolveOperations({ ...needs, contextFor: contextFor(stage.needs) }, [operation])();
const run = (world: ReturnType<typeof newWorld>, needs = stage.needs) =>
  perform(needs)(connection, by, world.operation, intention);

describe("the record", () => {
  test("is there before the call, with who and what, and has the outcome after it", async () => {
    const world = newWorld();
    const performed = await run(world);
    expect(performed.outcome).toEqual({ outcome: "done" });
    expect(world.recordedBefore).toEqual(["intended"]);
    const entries = await stage.log(connection.connectionId);
    expect(entries.filter(({ kind }) => kind === "operation")).toMatchObject([
      { op: "intended", object: performed.id, changes: intention.changes, actor: { subject: "grace" } },
      { op: "done", object: performed.id, changes: [], actor: { subject: "grace" } },
    ]);
    expect((await recorded()).map(({ operation, group }) => [operation, group])).toEqual([
      ["add-member", "g-1"],
      ["add-member", "g-1"],
    ]);
    expect(await open()).toEqual([]);
  });

  test("says why Microsoft refused", async () => {
    const world = newWorld();
    world.answer = { error: new AppError("permission-revoked"), hasEffect: false };
    expect((await run(world)).outcome).toEqual({ outcome: "refused", code: "permission-revoked" });
    expect(await told()).toEqual(["intended", "refused permission-revoked"]);
    expect(await open()).toEqual([]);
  });

  test("cannot be left out: without the entry nothing is stored, and without that there is nothing to call with", async () => {
    const doc: OperationDoc = {
      id: ids.operation("x"),
      kind: "operation",
      connectionId: connection.connectionId,
      v: 1,
      name: "add-member",
      about: {},
      target: sealedText<unknown>("target"),
      begunAt: new Date().toISOString(),
      checkAt: 1,
      checks: 0,
    };
    const head = await headIn(stage, connection.connectionId);
    await expect(commit(stage.needs, head, { writes: [{ op: "create", doc }] })).rejects.toThrow("without its record");
    expectTypeOf<{ id: string; isRecorded: boolean }>().not.toExtend<Intended>();
    expectTypeOf<Operation<Target>["call"]>().parameter(0).toEqualTypeOf<Intended>();
  });

  test("about a person is the person's, and goes with the person", async () => {
    const { connectionId, ring } = connection;
    const { key } = newPersonKey(stage.ambient, ring, connectionId, "p-1");
    await perform(stage.needs)(connection, by, newWorld().operation, { ...intention, about: { person: "p-1", key } });
    const [intended] = await recorded();
    if (!intended) throw new Error("nothing was recorded");
    const [doc] = await stage.store.logBackwards(connectionId, { through: intended.sequence, limit: 1, person: "p-1" });
    expect(doc?.subjects).toEqual(["p-1"]);
    expect(contentOf(connection, intended, key)).toEqual({ content: "open", changes: intention.changes });
    expect(contentOf(connection, intended, "erased")).toEqual({ content: "erased", changes: [] });
  });
});

test("an outcome that is known is recorded also when the document was put off, or sealed again, meanwhile", async () => {
  const { store } = stage;
  let isMoved = false;
  const read: typeof store.read = async (id, kind, document) => {
    const found = await store.read(id, kind, document);
    const [doc] = kind === "operation" && !isMoved ? await store.list(id, "operation", { limit: 1 }) : [];
    if (doc) {
      isMoved = true;
      await postpone(stage.needs, doc, stage.ambient.now());
    }
    return found;
  };
  expect((await run(newWorld(), { ...stage.needs, store: { ...store, read } })).outcome).toEqual({ outcome: "done" });
  expect(isMoved).toBe(true);
  expect(await told()).toEqual(["intended", "done"]);
  expect(await open()).toEqual([]);
});

describe("an answer that was lost", () => {
  test.each([
    [true, "done checked"],
    [false, "refused checked"],
  ])("(it happened: %s) is found out by the timer, when nobody can be at it any more", async (hasEffect, outcome) => {
    const world = newWorld();
    world.answer = { error: new AppError("graph-unavailable"), hasEffect };
    expect((await run(world)).outcome).toEqual({ outcome: "open" });
    expect(await told()).toEqual(["intended"]);
    await tick(world.operation);
    expect(world.checks).toBe(0);
    stage.ambient.advance(callMilliseconds + 1);
    expect(await tick(world.operation)).toEqual({ checked: 1, settled: 1 });
    expect(await told()).toEqual(["intended", outcome === "done checked" ? outcome : "refused graph-refused"]);
    expect(await open()).toEqual([]);
    expect(world.calls).toBe(1);
    await tick(world.operation);
    expect(world.checks).toBe(1);
  });

  test("that nobody can find out is asked for later and later, and in the end recorded as unknown", async () => {
    const world = newWorld();
    world.answer = { error: new Error("socket"), hasEffect: true };
    world.checkable = false;
    await run(world);
    const pauses: number[] = [];
    for (let at = (await open())[0]; at && pauses.length < 20; at = (await open())[0]) {
      pauses.push(at.checkAt - stage.ambient.now());
      stage.ambient.advance(Math.max(0, at.checkAt - stage.ambient.now()) + 1);
      await tick(world.operation);
    }
    expect(pauses.length).toBe(7);
    expect(pauses.slice(1)).toEqual(pauses.slice(1).toSorted((one, next) => one - next));
    expect(await told()).toEqual(["intended", "unknown checked"]);
  });

  test("holds up nobody else when the check itself is broken, and ends as unknown", async () => {
    const [broken, other] = [newWorld(), newWorld()];
    for (const world of [broken, other]) world.answer = { error: new AppError("graph-unavailable"), hasEffect: true };
    broken.operation = { ...broken.operation, name: "broken", check: () => Promise.reject(new TypeError("ours")) };
    for (const world of [broken, other]) await run(world);
    stage.ambient.advance(callMilliseconds + 1);
    const ticks = () =>
      resolveOperations({ ...stage.needs, contextFor: contextFor(stage.needs) }, [broken.operation, other.operation])();
    await expect(ticks()).rejects.toThrow("ours");
    expect(await told()).toEqual(["intended", "intended", "done checked"]);
    for (let turn = 0; turn < 7; turn++) {
      stage.ambient.advance(24 * 3_600_000);
      await ticks().catch(() => undefined);
    }
    expect((await told()).at(-1)).toBe("unknown checked");
  });

  test("is found out also when it is one of very many, those before it not being due yet", async () => {
    const world = newWorld();
    world.answer = { error: new AppError("graph-unavailable"), hasEffect: true };
    for (let number = 0; number < 52; number++) await run(world);
    const waiting = await stage.store.list(connection.connectionId, "operation", { limit: 51 });
    const later = stage.ambient.now() + 10 * callMilliseconds;
    for (const doc of waiting) await postpone(stage.needs, doc, later);
    stage.ambient.advance(callMilliseconds + 1);
    expect(await tick(world.operation)).toEqual({ checked: 1, settled: 1 });
  });

  test("is recorded once, also by two timers at the same time", async () => {
    const world = newWorld();
    world.answer = { error: new AppError("graph-unavailable"), hasEffect: true };
    await run(world);
    stage.ambient.advance(callMilliseconds + 1);
    await Promise.all([tick(world.operation), tick(world.operation)]);
    expect(await told()).toEqual(["intended", "done checked"]);
  });
});

test("a process that dies anywhere leaves a record that the world agrees with, and calls once at most", async () => {
  let survived = false;
  let deaths = 0;
  for (let calls = 0; !survived && calls < 20; calls++) {
    const world = newWorld();
    survived = await run(world, mortal(stage.needs, calls, ["store"])).then(
      () => true,
      () => false,
    );
    if (!survived) deaths++;
    stage.ambient.advance(callMilliseconds + 1);
    await tick(world.operation);
    const ops = (await recorded()).map(({ op }) => op);
    expect(world.calls).toBeLessThanOrEqual(1);
    if (world.members.size > 0) expect(ops).toEqual(["intended", "done"]);
    else expect(ops.length === 0 || ops.join() === "intended,refused").toBe(true);
    expect(await open()).toEqual([]);
    const { id } = await connected(stage, caller(), `Connection ${(name += 1)}`, {});
    connection = (await stage.cases.open("acme", id)).context;
    stage.microsoft.person.authTime = Math.floor(stage.ambient.now() / 1000);
  }
  expect(survived).toBe(true);
  expect(deaths).toBeGreaterThan(3);
});
