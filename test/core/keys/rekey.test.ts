/** All keys of a connection are replaced while it is in use: nothing is lost, and nothing that can change stays under the old ones. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { verifyChain } from "../../../src/core/audit/change-log.ts";
import { readBlacklist } from "../../../src/core/connections/change-blacklist.ts";
import { openName } from "../../../src/core/connections/name.ts";
import { openConnection } from "../../../src/core/connections/open.ts";
import { listProductGroups } from "../../../src/core/connections/product-groups.ts";
import { showSecurity } from "../../../src/core/connections/security.ts";
import type { ContentKey } from "../../../src/core/crypto/seal.ts";
import { careForKeys } from "../../../src/core/keys/care.ts";
import { rekeyConnection, rotateKeys, showKeys } from "../../../src/core/keys/manage.ts";
import { spreadMilliseconds } from "../../../src/core/keys/rekey.ts";
import { formerMilliseconds } from "../../../src/core/keys/reseal.ts";
import { erasePerson } from "../../../src/core/privacy/erase-person.ts";
import { ids } from "../../../src/core/store/documents.ts";
import { readChanges } from "../../../src/core/views/changes.ts";
import { readPerson } from "../../../src/core/views/people.ts";
import { requestRun } from "../../../src/core/views/runs.ts";
import { sealedText } from "../../adapters/cosmos-fixture.ts";
import { held, readLog } from "../../support/held.ts";
import { mortal } from "../../support/mortal.ts";
import { codeOf } from "../views-stage.ts";
import { furnish, type Instance, type KeysScene, officer, openKeysScene } from "./keys-stage.ts";

let scene: KeysScene;
beforeAll(async () => {
  scene = await openKeysScene(70);
  await furnish(scene);
});
afterAll(() => scene.stage.close());

const begin = (needs: Instance = scene.instance()) =>
  rekeyConnection(needs)(officer, scene.connectionId, { displayName: "Test" });
const tick = (needs: Instance = scene.instance()) => careForKeys(needs)();
const wait = () => scene.stage.ambient.advance(spreadMilliseconds + 1);

/** What is due, until nothing is. */
const through = async (): Promise<void> => {
  for (let turn = 0; turn < 6 && (await scene.ring()).careAt !== null; turn++) {
    wait();
    await tick();
  }
};

const withoutOthers = ({ id, key }: ContentKey): ContentKey => ({ id, key });

/** Ids of the keys that the ciphertexts of a document name. */
const keyIdsIn = (value: unknown): string[] => {
  if (typeof value === "string") return /^1\.([\w-]+)\.[\w-]{38,}$/.exec(value)?.slice(1) ?? [];
  return typeof value === "object" && value !== null ? Object.values(value).flatMap(keyIdsIn) : [];
};

/** Everything opens with the keys of today alone, but what is in the log and what is going to expire. */
const expectThrough = async (): Promise<void> => {
  const { stage, connectionId } = scene;
  expect((await scene.ring()).rekey).toBeUndefined();
  const context = await scene.contextNow();
  const { sealing, wrapping, index } = context.ring;
  const today = { ...context, ring: { sealing: withoutOthers(sealing), wrapping: withoutOthers(wrapping), index } };
  await held(stage.store, today);
  for (const doc of await scene.documents()) {
    if (doc.ttl !== undefined || doc.kind === "ring") continue;
    for (const id of keyIdsIn({ ...doc, key: null, record: null, productUser: null }))
      expect([String(doc.id), id]).toEqual([String(doc.id), sealing.id]);
    const { key } = doc as { key?: { id: string; wrapped: string; former?: unknown } | null };
    if (doc.kind !== "person" || !key) continue;
    expect(new Set(keyIdsIn(key))).toEqual(new Set([wrapping.id]));
    for (const id of keyIdsIn([doc.record, doc.productUser])) expect(id).toBe(key.id);
  }
  const log = await readLog(stage.store, connectionId);
  const [oldest] = log;
  if (!oldest) throw new Error("there is no log");
  const { fault } = verifyChain(log, { sequence: oldest.first - 1, chain: oldest.prev });
  expect(fault).toBeNull();
};

/** All that the product and its administrators may see, as a new instance shows it. */
const shown = async () => {
  const needs = scene.instance();
  const { connectionId } = scene;
  const [first = ""] = scene.crew;
  const changes = [];
  for (let after = 0, more = true; more; ) {
    const page = await readChanges(needs)(officer, connectionId, { after, limit: 200, waitSeconds: 0 });
    changes.push(...page.items.filter(({ kind, run }) => kind !== "security" && run === undefined));
    more = page.next !== after;
    after = page.next;
  }
  expect(changes.filter(({ content }) => content !== "open")).toEqual([]);
  const opened = await openConnection(needs)("w1", connectionId);
  const { productUserId } = await readPerson(needs)(officer, connectionId, scene.id(first));
  return {
    held: await held(scene.stage.store, await scene.contextNow()),
    productUserId,
    blacklist: (await readBlacklist(needs)(officer, connectionId, { limit: 200 })).items,
    productGroups: (await listProductGroups(needs)(officer, connectionId, { limit: 200 })).items,
    grants: (await showSecurity(needs)(officer, connectionId)).grants,
    name: openName(opened.context.ring, opened.doc),
    changes: changes.slice(0, 60),
  };
};

describe("a rekey", () => {
  test("replaces the keys while syncs and reads go on with whatever keys an instance has in memory", async () => {
    const before = await shown();
    const { ring: old } = await scene.contextNow();
    const instances = [scene.instance()];
    /** Whoever loaded keys in the last ten minutes reads what anybody writes. */
    const readByAll = async (name: string) => {
      const [somebody = ""] = scene.crew;
      scene.mutate({ op: "update-user", id: somebody, set: { displayName: name } });
      await scene.stage.sync(scene.connectionId);
      instances.push(scene.instance());
      for (const needs of instances) {
        const person = await readPerson(needs)(officer, scene.connectionId, scene.id(somebody));
        expect(person.attributes?.displayName).toBe(name);
      }
    };
    await readByAll("Before");
    const begun = await begin();
    expect(begun).toMatchObject({ generation: 2, rekey: { phase: "announced", resealed: 0 } });
    await readByAll("Announced");
    expect((await scene.instance().keys.ring(scene.connectionId)).sealing.id).toBe(old.sealing.id);
    wait();
    await readByAll("Announced and known");
    await tick();
    expect(await showKeys(scene.instance())(officer, scene.connectionId)).toMatchObject({
      rekey: { phase: "spreading" },
    });
    await readByAll("Spreading");
    wait();
    await readByAll("Everybody seals with the new ones");
    await tick({ ...scene.instance(), sliceMilliseconds: 0 });
    expect((await scene.ring()).rekey?.phase).toBe("spreading");
    await tick();
    await readByAll("Done");
    await expectThrough();

    const { ring } = await scene.contextNow();
    expect(ring.sealing.id).not.toBe(old.sealing.id);
    expect(ring.sealing.key.equals(old.sealing.key) || ring.wrapping.key.equals(old.wrapping.key)).toBe(false);
    expect(ring.index.equals(old.index)).toBe(true);
    const after = await shown();
    const [first = ""] = scene.crew;
    const id = scene.id(first);
    expect(after.held.people[id]?.fields.displayName).toBe("Done");
    const renamed = (view: typeof after) => {
      const { [id]: _, ...people } = view.held.people;
      return { ...view, held: { ...view.held, people } };
    };
    expect(renamed(after)).toEqual(renamed(before));
  });

  test("is told in the log: who began it, the new generation, and its end", async () => {
    const { items } = await readChanges(scene.instance())(officer, scene.connectionId, {
      after: 0,
      limit: 1000,
      waitSeconds: 0,
    });
    const told = items.filter(({ object }) => object === "keys");
    expect(told.map(({ changes, actor }) => [changes[0]?.field, changes[0]?.after, actor?.subject])).toEqual([
      ["generation", 2, "ada"],
      ["rekey", "begun", "ada"],
      ["rekey", "done", undefined],
    ]);
    expect(told[2]?.changes[1]).toMatchObject({ field: "resealed", after: expect.any(Number) });
  });

  test("is refused while one is under way, without the name, and so is a rotation meanwhile", async () => {
    const needs = scene.instance();
    expect(await codeOf(rekeyConnection(needs)(officer, scene.connectionId, { displayName: "Another" }))).toBe(
      "invalid-request",
    );
    await begin();
    scene.stage.ambient.advance(3_600_000);
    expect(await codeOf(begin())).toBe("state-conflict");
    expect(await codeOf(rotateKeys(needs)(officer, scene.connectionId))).toBe("state-conflict");
    await through();
    await expectThrough();
  });

  test("leaves a run that is under way where it is", async () => {
    const { stage, connectionId } = scene;
    await begin();
    wait();
    await tick();
    wait();
    const people = scene.crew.slice(5, 25);
    scene.mutate(...people.map((id) => ({ op: "update-user" as const, id, set: { city: "Bremen" } })));
    stage.needs = { ...stage.needs, sliceMilliseconds: 0 };
    await requestRun(scene.instance())(officer, connectionId, { mode: "full" });
    await stage.settleOnce(connectionId);
    expect((await scene.head()).run).not.toBeNull();
    await tick();
    await expectThrough();
    stage.needs = { ...stage.needs, sliceMilliseconds: 240_000 };
    await stage.settle(connectionId);
    const { run, lastRound } = await scene.head();
    expect([run, lastRound?.outcome]).toEqual([null, "done"]);
    const after = await held(stage.store, await scene.contextNow());
    expect(people.map((oid) => after.people[scene.id(oid)]?.fields.city)).toEqual(people.map(() => "Bremen"));
  });

  test("is not held up by what somebody has altered, and leaves it as it is", async () => {
    const { stage, connectionId } = scene;
    const [person] = await stage.store.list(connectionId, "person", { limit: 1 });
    const [operation] = await stage.store.list(connectionId, "operation", { limit: 1 });
    if (!person || !operation) throw new Error("nothing to alter");
    const altered = [
      { ...operation, id: ids.operation("altered"), target: sealedText<unknown>("altered") },
      // Moved to somebody else: his key opens there no more.
      { ...person, id: ids.person("altered") },
    ];
    await scene.put(...altered);
    await begin();
    await through();
    expect((await scene.ring()).rekey).toBeUndefined();
    const found = new Map((await scene.documents()).map((doc) => [doc.id, doc]));
    expect(found.get("o:altered")).toMatchObject({ target: sealedText("altered") });
    expect(found.get("u:altered")).toMatchObject({ key: person.key, record: person.record });
    for (const { id } of altered) await stage.handles.directory.item(id, connectionId).delete();
    await expectThrough();
  });

  test("brings back nobody who was erased meanwhile, and erases with all keys", async () => {
    const gone = scene.id(scene.crew.at(-1) ?? "");
    await begin();
    wait();
    await tick();
    const access = { record: async () => {} };
    const erasing = { ...scene.instance(), work: scene.stage.needs.work, access };
    await erasePerson(erasing)(officer, scene.connectionId, gone, { person: gone });
    await through();
    await expectThrough();
    const doc = (await scene.documents()).find(({ id }) => id === `u:${gone}`);
    expect(doc).toMatchObject({ state: "erased", key: null, record: null });
  });

  test("lets former keys go when all that they have sealed has expired", async () => {
    await begin();
    await through();
    const someone = async () =>
      (await scene.documents()).find(({ id }) => id === `u:${scene.id(scene.crew[0] ?? "")}`) as {
        key: { former: unknown[] };
      };
    expect((await someone()).key.former.length).toBeGreaterThan(1);
    expect((await scene.contextNow()).ring.sealing.others?.length).toBeGreaterThan(1);
    scene.stage.ambient.advance(formerMilliseconds + spreadMilliseconds);
    await begin();
    await through();
    await expectThrough();
    expect((await someone()).key.former).toHaveLength(1);
    expect((await scene.contextNow()).ring.sealing.others).toHaveLength(1);
  });
});

describe("a process that dies inside a rekey, and two at once", () => {
  test.each(Array.from({ length: 20 }, (_, index) => index * 4))(
    "after %i calls in each of its turns",
    async (calls) => {
      const dying = () => scene.instance(mortal(scene.instance(), calls, ["store", "secrets", "handshakes"]));
      const before = await held(scene.stage.store, await scene.contextNow());
      await begin(dying()).catch(() => undefined);
      for (let turn = 0; turn < 4; turn++) {
        wait();
        await tick(dying()).catch(() => undefined);
      }
      await through();
      scene.stage.ambient.advance(3_600_000);
      await through();
      await expectThrough();
      expect(await held(scene.stage.store, await scene.contextNow())).toEqual(before);
    },
  );

  test("two that go on at once do no more than one", async () => {
    const before = await held(scene.stage.store, await scene.contextNow());
    await begin();
    for (let turn = 0; turn < 3; turn++) {
      wait();
      await Promise.all([tick(), tick(), tick()]);
    }
    await through();
    await expectThrough();
    expect(await held(scene.stage.store, await scene.contextNow())).toEqual(before);
  });
});
