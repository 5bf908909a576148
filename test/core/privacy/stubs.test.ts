/** What is left of people who were removed ends as well, when nothing in the log can be theirs any more. */
import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, expect, test } from "vitest";
import { entriesOf } from "../../../src/core/audit/change-log.ts";
import { longestLogSeconds } from "../../../src/core/audit/retention.ts";
import type { ConnectionContext } from "../../../src/core/context.ts";
import { personId } from "../../../src/core/crypto/key-ring.ts";
import { ids } from "../../../src/core/store/documents.ts";
import { linkProductUser } from "../../../src/core/views/link-product-user.ts";
import { readLog } from "../../support/held.ts";
import { type Stage, startStage } from "../../support/sync-stage.ts";
import { connected, caller as editor, openStage } from "../connections-stage.ts";
import { caller } from "../views-stage.ts";

const day = 86_400_000;

let stage: Stage;
let context: ConnectionContext;
const [gone, back, here] = [randomUUID(), randomUUID(), randomUUID()];
let tid = "";

const mutate = (...mutations: Parameters<Stage["simulator"]["commands"]["mutate"]["run"]>[0]["mutations"]) =>
  void stage.simulator.commands.mutate.run({ tid, mutations });
const created = (id: string) => {
  const properties = {
    displayName: id,
    userPrincipalName: `${id}@t1.example`,
    accountEnabled: true,
    userType: "Member",
  };
  return { op: "create-user" as const, user: { id, managerId: null, properties } };
};
const stored = (oid: string) =>
  stage.store.read(context.connectionId, "person", ids.person(personId(context.ring, oid)));
const head = async () => {
  const found = await stage.store.read(context.connectionId, "head", ids.head);
  if (!found) throw new Error("there is no head");
  return found;
};
/** The timer, when the time has come. */
const retire = async (): Promise<void> => {
  expect(await stage.store.dueToRetire(stage.ambient.now(), 10)).toEqual([context.connectionId]);
  await stage.settleOnce(context.connectionId);
};

beforeAll(async () => {
  stage = await startStage();
  tid = stage.tenant({ users: 5, groups: 0, seed: 1 });
  mutate(created(gone), created(back), created(here));
  ({ context } = await stage.connect(tid, { leaving: { rule: "remove", afterDays: 30 } }));
  const { connectionId } = context;
  await stage.sync(connectionId, "full");
  const needs = { ...stage.needs, keys: { ring: async () => context.ring } };
  const link = (oid: string) =>
    linkProductUser(needs)(caller("integration:sync"), connectionId, personId(context.ring, oid), undefined, {
      productUserId: `user-${oid}`,
    });
  for (const oid of [gone, back, here]) await link(oid);
  mutate({ op: "delete-user", id: gone }, { op: "delete-user", id: back });
  await stage.sync(connectionId);
  stage.ambient.advance(31 * day);
  await retire();
});
afterAll(() => stage.close());

test("a stub and the row of its link are deleted three years after the removal, with a record; who came back stays", async () => {
  expect([(await stored(gone))?.state, (await stored(back))?.state]).toEqual(["removed", "removed"]);
  const link = (await stored(gone))?.productUser?.index ?? "";
  mutate({ op: "restore-user", id: back });
  await stage.sync(context.connectionId, "full");
  expect((await stored(back))?.state).toBe("active");

  stage.ambient.advance(longestLogSeconds * 1000 - 40 * day);
  expect(await stage.store.dueToRetire(stage.ambient.now(), 10)).toEqual([]);
  stage.ambient.advance(45 * day);
  await retire();
  expect(await stored(gone)).toBeNull();
  expect(await stage.store.read(context.connectionId, "product-user", ids.productUser(link))).toBeNull();
  for (const oid of [back, here]) {
    const doc = await stored(oid);
    expect(doc?.state).toBe("active");
    const row = ids.productUser(doc?.productUser?.index ?? "");
    expect(await stage.store.read(context.connectionId, "product-user", row)).not.toBeNull();
  }
  const [last] = (await readLog(stage.store, context.connectionId)).flatMap(entriesOf).slice(-1);
  expect(last).toMatchObject({ op: "removed", object: personId(context.ring, gone), evidence: "stub-ended" });
  expect((await head()).retireAt).toBeNull();
});

test("settings that begin to remove people have it looked at once who has to go", async () => {
  const set = await openStage();
  try {
    const who = editor();
    const { id } = await connected(set);
    const read = async () => set.store.read(id, "head", ids.head);
    const change = async (leaving: { rule: "keep" | "remove"; afterDays: number }) => {
      const { etag, version: _, ...settings } = await set.cases.readSettings(who, id);
      await set.cases.changeSettings(who, id, etag, { ...settings, leaving });
    };
    await change({ rule: "keep", afterDays: 30 });
    expect((await read())?.retireAt).toBeNull();
    await change({ rule: "remove", afterDays: 30 });
    expect((await read())?.retireAt).toBeLessThanOrEqual(set.ambient.now());
  } finally {
    await set.close();
  }
});
