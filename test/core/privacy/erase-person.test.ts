import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { sealRef } from "../../../src/core/directory/ref.ts";
import { switchPerson } from "../../../src/core/directory/switch-person.ts";
import { AppError } from "../../../src/core/errors.ts";
import { erasePerson } from "../../../src/core/privacy/erase-person.ts";
import { backupMilliseconds, ledgerName, maxLedgerEntries } from "../../../src/core/privacy/ledger.ts";
import { commit } from "../../../src/core/store/commit.ts";
import { ids } from "../../../src/core/store/documents.ts";
import { caller, codeOf } from "../views-stage.ts";
import { nothing, officer, openPrivacyScene, type PrivacyScene } from "./privacy-stage.ts";

let scene: PrivacyScene;
let next = 0;
beforeAll(async () => {
  scene = await openPrivacyScene(20);
});
afterAll(() => scene.stage.close());

/** Somebody whom no other test has touched: object id and person id. */
const somebody = () => {
  const oid = scene.crew[next++] ?? "";
  return { oid, id: scene.id(oid) };
};
const link = (id: string, productUserId: string) =>
  scene.views.linkProductUser(caller("integration:sync"), scene.connectionId, id, undefined, { productUserId });

describe("erasing somebody", () => {
  test("leaves an id and nothing else, in the database and in every answer", async () => {
    const { oid, id } = somebody();
    await link(id, "user-1");
    const before = await scene.head();
    const receipt = await scene.erase(id);
    expect(await scene.remains(id)).toEqual(nothing);
    const at = Date.parse(receipt.erasedAt);
    expect(receipt).toEqual({
      id,
      erasedAt: receipt.erasedAt,
      live: receipt.erasedAt,
      caches: new Date(at + 600_000).toISOString(),
      backups: new Date(at + backupMilliseconds).toISOString(),
    });
    const after = await scene.head();
    expect(after.epoch).toBe(before.epoch + 1);
    expect(after.counters.people).toBe(before.counters.people - 1);
    expect(after.counters.memberships).toBe(before.counters.memberships - 2);
    expect(scene.recorded.at(-1)).toMatchObject({ what: "person-erased", objects: [id], subject: "ada" });
    // The link is free again, and the row that held it is gone.
    await link(somebody().id, "user-1");
    const shown = await scene.views.readPerson(officer, scene.connectionId, id);
    expect(shown).toMatchObject({ state: "erased", attributes: null, manager: null, productUserId: null, groups: [] });
    const changes = await scene.views.readChanges(caller("audit:read"), scene.connectionId, {
      after: 0,
      limit: 200,
      waitSeconds: 0,
    });
    const ofPerson = changes.items.filter(({ object }) => object === id);
    expect(ofPerson.map(({ type, content }) => [type, content])).toEqual([
      ["person.created", "erased"],
      ["product-user.changed", "erased"],
      ["person.erased", "open"],
    ]);
    expect(JSON.stringify(ofPerson)).not.toContain("Sailor");
    expect(ofPerson.at(-1)?.actor?.subject).toBe("ada");
    // Whatever Microsoft 365 says of the account after that.
    scene.mutate({ op: "update-user", id: oid, set: { jobTitle: "Admiral" } });
    await scene.stage.sync(scene.connectionId, "full");
    expect(await scene.person(id)).toMatchObject({ state: "erased", record: null });
  });

  test("answers a repeated request with the same receipt and does nothing", async () => {
    const { id } = somebody();
    const receipt = await scene.erase(id);
    const { sequence, commitId } = await scene.head();
    scene.stage.ambient.advance(5000);
    expect(await scene.erase(id)).toEqual(receipt);
    expect(await scene.head()).toMatchObject({ sequence, commitId });
  });

  test("keeps the pseudonym out of the groups, though Microsoft 365 goes on listing the account", async () => {
    const { id } = somebody();
    const receipt = await scene.erase(id);
    await scene.stage.sync(scene.connectionId, "full");
    expect(await scene.remains(id)).toEqual(nothing);
    // The ledger agrees with the marker: nobody takes this for a database that was put back.
    const { commitId } = await scene.head();
    await scene.settle();
    expect(await scene.head()).toMatchObject({ commitId });
    expect(await scene.erase(id)).toEqual(receipt);
  });

  test("asked for again takes the pseudonym out of a group in which something else has left it", async () => {
    const { id } = somebody();
    const receipt = await scene.erase(id);
    const [shard] = await scene.stage.store.list(scene.connectionId, "members", { limit: 1 });
    if (!shard) throw new Error("no group has members");
    const { _etag, ...doc } = shard;
    await scene.put({ ...doc, members: [...doc.members, id].toSorted() });
    scene.stage.ambient.advance(5000);
    expect(await scene.erase(id)).toEqual(receipt);
    expect(await scene.stage.store.groupsOf(scene.connectionId, id)).toEqual([]);
  });

  test("works for people who have left", async () => {
    const { oid, id } = somebody();
    scene.mutate({ op: "delete-user", id: oid });
    await scene.stage.sync(scene.connectionId);
    expect(await scene.person(id)).toMatchObject({ state: "deactivated" });
    const { people } = (await scene.head()).counters;
    await scene.erase(id);
    expect(await scene.remains(id)).toEqual(nothing);
    expect((await scene.head()).counters.people).toBe(people);
  });

  test("works for somebody of whom nothing is stored, by a reference to this very person", async () => {
    const oid = "00000000-0000-4000-8000-00000000abcd";
    const id = scene.id(oid);
    expect(await codeOf(scene.erase(id))).toBe("person-not-found");
    const other = sealRef(scene.stage.ambient, scene.context, somebody().oid);
    expect(await codeOf(scene.erase(id, scene.needsOf, other))).toBe("invalid-ref");
    await scene.erase(id, scene.needsOf, sealRef(scene.stage.ambient, scene.context, oid));
    expect(await scene.remains(id)).toEqual({ ...nothing, state: null });
  });

  test("has to repeat the id, and is not there for another workspace", async () => {
    const { id } = somebody();
    const erase = erasePerson(scene.needsOf);
    expect(await codeOf(erase(officer, scene.connectionId, id, { person: somebody().id }))).toBe("invalid-request");
    const stranger = { ...officer, workspaceId: "w2" };
    expect(await codeOf(erase(stranger, scene.connectionId, id, { person: id }))).toBe("connection-not-found");
    expect(await scene.person(id)).toMatchObject({ state: "active" });
  });

  test("voids what a run has staged of the person before it can be applied", async () => {
    const { oid, id } = somebody();
    scene.mutate({ op: "update-user", id: oid, set: { jobTitle: "Bosun" } });
    let reached = false;
    const { needs } = scene.stage;
    const store = new Proxy(needs.store, {
      get: (target, name) =>
        name === "write"
          ? async (...args: Parameters<typeof target.write>) => {
              const writes = args[1].some((write) => "doc" in write && write.doc.id === ids.person(id));
              if (writes && !reached) {
                reached = true;
                await scene.erase(id);
              }
              return target.write(...args);
            }
          : Reflect.get(target, name),
    });
    scene.stage.needs = { ...needs, store };
    await scene.stage.sync(scene.connectionId);
    scene.stage.needs = needs;
    expect(reached).toBe(true);
    expect(await scene.remains(id)).toEqual(nothing);
    expect((await scene.told(id)).map(({ op }) => op)).toEqual(["created", "erased"]);
  });
});

describe("what a run has staged", () => {
  test("is gone from the database when the erasure is answered, also while nobody works on the run", async () => {
    const { oid, id } = somebody();
    const { needs, ambient } = scene.stage;
    const runId = ambient.ulid();
    const requested = { runId, mode: "full" as const, cause: "manual" as const, at: ambient.now() };
    await commit(needs, await scene.head(), { advance: (head) => ({ ...head, requested, wakeAt: ambient.now() }) });
    scene.mutate({ op: "update-user", id: oid, set: { jobTitle: "Cook" } });
    scene.stage.needs = { ...needs, sliceMilliseconds: 0 };
    const staged = async () =>
      (await scene.stage.handles.work.items.query("SELECT c.id FROM c", { partitionKey: runId }).fetchAll()).resources;
    for (let slices = 0; slices < 20 && (await staged()).length === 0; slices++)
      await scene.stage.settleOnce(scene.connectionId);
    scene.stage.needs = needs;
    expect((await scene.head()).run?.id).toBe(runId);
    expect(await staged()).not.toEqual([]);
    await scene.erase(id);
    expect(await staged()).toEqual([]);
    await scene.stage.settle(scene.connectionId);
    expect((await scene.head()).run).toBeNull();
    await scene.stage.sync(scene.connectionId, "full");
    expect(await scene.person(id)).toMatchObject({ state: "erased", record: null });
  });
});

describe("the plan that a dry run has left", () => {
  test("is gone when anybody of the connection has been erased: nobody could tell who is in it", async () => {
    const { id } = somebody();
    await scene.stage.sync(scene.connectionId, "dry-run");
    const { store, needs } = scene.stage;
    const [run] = await store.list(scene.connectionId, "run", { limit: 1 });
    const kept = run?.plan?.part ?? "";
    expect(await needs.work.get(run?.id.slice(2) ?? "", kept)).toEqual(expect.any(String));
    await scene.erase(id);
    expect(await needs.work.get(run?.id.slice(2) ?? "", kept)).toBeNull();
  });
});

describe("whoever was erased", () => {
  test("stays out until somebody switches the synchronisation on, and is somebody new then", async () => {
    const { oid, id } = somebody();
    const keyBefore = await scene.stage.store.read(scene.connectionId, "person", ids.person(id));
    await scene.erase(id);
    const ref = sealRef(scene.stage.ambient, scene.context, oid);
    expect(await scene.switchOn(oid, ref)).toMatchObject({ synchronised: true });
    const back = await scene.stage.store.read(scene.connectionId, "person", ids.person(id));
    expect(back).toMatchObject({ state: "active" });
    expect(back?.key?.id).not.toBe(keyBefore?.key?.id);
    // The next round reads everything, because no delta tells of the memberships again.
    await scene.stage.sync(scene.connectionId);
    expect((await scene.views.readPerson(officer, scene.connectionId, id)).groups).toHaveLength(2);
    const { items } = await scene.views.readChanges(officer, scene.connectionId, {
      after: 0,
      limit: 200,
      waitSeconds: 0,
    });
    const told = items.filter(({ object, kind }) => object === id && kind === "person");
    expect(told.map(({ op, content }) => [op, content])).toEqual([
      ["created", "erased"],
      ["erased", "open"],
      ["enabled", "open"],
      ["created", "open"],
    ]);
    // An older erasure in the ledger does not undo that.
    await scene.settle();
    expect(await scene.person(id)).toMatchObject({ state: "active" });
  });

  test("cannot come back while the erasure is under way: what is left of it would be done to somebody new", async () => {
    const { oid, id } = somebody();
    const store = new Proxy(scene.needsOf.store, {
      get: (target, name) =>
        name === "groupsOf" ? () => Promise.reject(new AppError("store-unavailable")) : Reflect.get(target, name),
    });
    expect(await codeOf(scene.erase(id, { ...scene.needsOf, store }))).toBe("store-unavailable");
    expect(await scene.person(id)).toMatchObject({ state: "erased" });
    const ref = sealRef(scene.stage.ambient, scene.context, oid);
    expect(await codeOf(scene.switchOn(oid, ref))).toBe("changed-meanwhile");
    await scene.erase(id);
    expect(await scene.remains(id)).toEqual(nothing);
    expect(await scene.switchOn(oid, ref)).toMatchObject({ synchronised: true });
  });

  test("cannot be switched off: that would make the erasure something smaller", async () => {
    const { id } = somebody();
    await scene.erase(id);
    const off = switchPerson({ ...scene.needs, search: scene.stage.search, source: scene.stage.needs.source });
    expect(await codeOf(off(caller(), scene.connectionId, id, { enabled: false }))).toBe("state-conflict");
    expect(await scene.remains(id)).toEqual(nothing);
  });
});

describe("the ledger", () => {
  test("comes first: while the vault is out of reach nobody is erased, and nobody has to wait afterwards", async () => {
    const { id } = somebody();
    const broken = { ...scene.secrets, set: () => Promise.reject(new AppError("keys-unavailable")) };
    expect(await codeOf(scene.erase(id, { ...scene.needsOf, secrets: broken }))).toBe("keys-unavailable");
    expect(await scene.person(id)).toMatchObject({ state: "active" });
    await scene.erase(id);
    expect(await scene.remains(id)).toEqual(nothing);
  });

  test("has room for so many, and says when there is room again", async () => {
    const { id } = somebody();
    const name = ledgerName(scene.connectionId);
    const before = scene.secrets.values.get(name) ?? "";
    const now = scene.stage.ambient.now();
    const full = Array.from({ length: maxLedgerEntries }, (_, n) => [String(n).padStart(22, "0"), now + n]);
    const text = JSON.stringify({ v: 1, erased: full });
    expect(text.length).toBeLessThan(25_000);
    // They are confirmed, so that nothing but the room is in question.
    await scene.put(
      ...full.map(([person]) => ({
        id: ids.marker(String(person)),
        kind: "marker" as const,
        connectionId: scene.connectionId,
        v: 1 as const,
        marker: "erased" as const,
        changedAt: "2999-01-01T00:00:00.000Z",
      })),
    );
    scene.secrets.values.set(name, text);
    const error: unknown = await scene.erase(id).catch((reason: unknown) => reason);
    expect(error).toMatchObject({ code: "too-many-erasures" });
    expect((error as AppError).details.retryAfterSeconds).toBeGreaterThan(86_400);
    // Refused is refused: nobody finishes it later.
    expect((await scene.head()).erasing).toBeUndefined();
    scene.secrets.values.set(name, before);
    expect(await scene.person(id)).toMatchObject({ state: "active" });
  });

  test("that somebody has overwritten stops everything, because nobody can tell who was erased", async () => {
    const name = ledgerName(scene.connectionId);
    const before = scene.secrets.values.get(name) ?? "";
    scene.secrets.values.set(name, "nonsense");
    expect(await codeOf(scene.settle())).toBe("keys-unavailable");
    scene.secrets.values.set(name, before);
  });
});
