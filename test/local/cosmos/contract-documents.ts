import type { Container, JSONObject, OperationInput } from "@azure/cosmos";
import { beforeAll, describe, expect, it } from "vitest";
import { codeOf, idsOf, partition } from "./asking.ts";
import type { CosmosUnderTest } from "./contract.ts";

export const documentContract = (account: () => CosmosUnderTest): void => {
  let directory: Container;
  beforeAll(() => {
    directory = account().client.database(account().database).container("directory");
  });
  const query = (pk: string, where: string, values?: Record<string, unknown>) => idsOf(directory, pk, where, values);

  describe("documents", () => {
    it("keeps partitions apart for reads, queries and batches, also under the same id", async () => {
      const [one, other] = [partition(), partition()];
      await directory.items.create({ id: "u:1", connectionId: one, kind: "person" });
      await directory.items.create({ id: "u:1", connectionId: other, kind: "person" });
      await directory.items.create({ id: "u:2", connectionId: other, kind: "person" });
      expect((await directory.item("u:1", one).read()).resource.connectionId).toBe(one);
      expect((await directory.item("u:2", one).read()).statusCode).toBe(404);
      expect(await query(one, "WHERE c.kind = 'person'")).toEqual(["u:1"]);
      const batch = await directory.items.batch([{ operationType: "Delete", id: "u:2" }], one);
      expect(batch.result?.map(({ statusCode }) => statusCode)).toEqual([404]);
    });

    it("answers 409 for a second create and 404 for what is not there", async () => {
      const pk = partition();
      const item = directory.item("u:1", pk);
      await directory.items.create({ id: "u:1", connectionId: pk });
      expect(await codeOf(directory.items.create({ id: "u:1", connectionId: pk }))).toBe(409);
      await item.delete();
      expect(await codeOf(item.delete())).toBe(404);
      expect(await codeOf(item.replace({ id: "u:1", connectionId: pk }))).toBe(404);
      expect(await codeOf(item.patch([{ op: "set", path: "/n", value: 1 }]))).toBe(404);
      expect((await item.read()).statusCode).toBe(404);
    });

    it("gives every version its own quoted etag and refuses a write with an older one", async () => {
      const pk = partition();
      const item = directory.item("u:1", pk);
      const created = await directory.items.create<JSONObject>({ id: "u:1", connectionId: pk, n: 1 });
      const first = created.etag;
      expect(first).toMatch(/^".+"$/);
      expect(created.resource?.["_etag"]).toBe(first);
      const replaced = await item.replace({ id: "u:1", connectionId: pk, n: 2 }, ifMatch(first));
      expect(replaced.etag).not.toBe(first);
      expect(await codeOf(item.replace({ id: "u:1", connectionId: pk, n: 3 }, ifMatch(first)))).toBe(412);
      expect(await codeOf(item.patch([{ op: "set", path: "/n", value: 3 }], ifMatch(first)))).toBe(412);
      expect(await codeOf(directory.items.upsert({ id: "u:1", connectionId: pk, n: 3 }, ifMatch(first)))).toBe(412);
      expect(await codeOf(item.delete(ifMatch(first)))).toBe(412);
      const unchanged = await item.read({ accessCondition: { type: "IfNoneMatch", condition: replaced.etag } });
      expect(unchanged.statusCode).toBe(304);
      expect((await item.read({ accessCondition: { type: "IfNoneMatch", condition: first } })).resource.n).toBe(2);
    });

    it("upserts: 201 the first time, 200 the second", async () => {
      const pk = partition();
      expect((await directory.items.upsert({ id: "u:1", connectionId: pk, n: 1 })).statusCode).toBe(201);
      expect((await directory.items.upsert({ id: "u:1", connectionId: pk, n: 2 })).statusCode).toBe(200);
      expect((await directory.item("u:1", pk).read()).resource.n).toBe(2);
    });

    it("writes its own system properties over those a client sends back", async () => {
      const pk = partition();
      const { resource } = await directory.items.create<JSONObject>({ id: "u:1", connectionId: pk, n: 1 });
      const again = await directory.item("u:1", pk).replace<JSONObject>({ ...resource, id: "u:1", n: 2 });
      expect(again.resource?.["_etag"]).toBe(again.etag);
      expect(again.resource?.["_etag"]).not.toBe(resource?.["_etag"]);
      expect(again.resource?.["_rid"]).toBe(resource?.["_rid"]);
      expect(again.resource?.["_ts"]).toBeTypeOf("number");
    });

    it.each(["u:a b'é%41", "日本語", "\u{1f600}-\uffff", "a.b~c+d&e=f", "x".repeat(255)])(
      "reads back the id %s",
      async (id) => {
        const pk = partition();
        await directory.items.create({ id, connectionId: pk, kind: "odd" });
        expect((await directory.item(id, pk).read()).resource.id).toBe(id);
        expect(await query(pk, "WHERE c.id = @id", { id })).toEqual([id]);
      },
    );

    it("refuses a document above 2 MB with 413", async () => {
      const pk = partition();
      const create = directory.items.create({ id: "u:1", connectionId: pk, text: "x".repeat(2 * 1024 * 1024) });
      expect(await codeOf(create)).toBe(413);
    });

    it("refuses a patch that would make a document larger than 2 MB", async () => {
      const pk = partition();
      await directory.items.create({ id: "u:1", connectionId: pk, text: "x".repeat(1_500_000) });
      const grown = directory.item("u:1", pk).patch([{ op: "add", path: "/more", value: "x".repeat(700_000) }]);
      expect(await codeOf(grown)).toBe(413);
      expect((await directory.item("u:1", pk).read()).resource).not.toHaveProperty("more");
    });

    it("refuses a replacement that changes the id or the partition key", async () => {
      const pk = partition();
      await directory.items.create({ id: "u:1", connectionId: pk });
      expect(await codeOf(directory.item("u:1", pk).replace({ id: "u:2", connectionId: pk }))).toBe(400);
      expect(await codeOf(directory.item("u:1", pk).replace({ id: "u:1", connectionId: partition() }))).toBe(400);
    });
  });

  describe("patches", () => {
    it("adds, sets, replaces, removes and increments, all or nothing", async () => {
      const pk = partition();
      const item = directory.item("head", pk);
      await directory.items.create({ id: "head", connectionId: pk, list: ["a", "c"], gone: 1, deep: { x: 1 } });
      const patched = await item.patch<JSONObject>([
        { op: "add", path: "/list/1", value: "b" },
        { op: "add", path: "/list/-", value: "d" },
        { op: "set", path: "/fresh", value: null },
        { op: "replace", path: "/deep/x", value: 2 },
        { op: "remove", path: "/gone" },
        { op: "incr", path: "/count", value: 5 },
        { op: "incr", path: "/count", value: -2 },
      ]);
      expect(patched.resource).toMatchObject({ list: ["a", "b", "c", "d"], fresh: null, deep: { x: 2 }, count: 3 });
      expect(patched.resource).not.toHaveProperty("gone");
      const failing = item.patch([
        { op: "set", path: "/fresh", value: "changed" },
        { op: "replace", path: "/missing", value: 1 },
      ]);
      expect(await codeOf(failing)).toBe(400);
      expect((await item.read()).resource.fresh).toBeNull();
    });

    it("claims by condition: 412 and no change when it is false or a property is missing", async () => {
      const pk = partition();
      const item = directory.item("head", pk);
      await directory.items.create({ id: "head", connectionId: pk, leaseUntil: 100, owner: null, phase: "reading" });
      const claim = (condition: string) =>
        item.patch({ condition, operations: [{ op: "set", path: "/owner", value: condition }] });
      expect(await codeOf(claim("FROM c WHERE c.leaseUntil < 100"))).toBe(412);
      expect(await codeOf(claim("FROM c WHERE c.missing < 100"))).toBe(412);
      expect(await codeOf(claim("FROM c WHERE c.missing != 100"))).toBe(412);
      expect(await codeOf(claim("FROM c WHERE c.owner < 100"))).toBe(412);
      expect((await item.read()).resource.owner).toBeNull();
      const good = "FROM c WHERE c.leaseUntil < 101 AND (c.phase = 'reading' OR c.phase = 'idle') AND IS_NULL(c.owner)";
      expect((await claim(good)).statusCode).toBe(200);
      expect(await codeOf(claim(good))).toBe(412);
    });

    it("refuses more than ten operations, the id and the partition key", async () => {
      const pk = partition();
      await directory.items.create({ id: "head", connectionId: pk });
      const eleven = Array.from({ length: 11 }, (_, n) => setTo(`/p${n}`));
      const item = directory.item("head", pk);
      expect(await codeOf(item.patch(eleven))).toBe(400);
      expect(await codeOf(item.patch([setTo("/id")]))).toBe(400);
      expect(await codeOf(item.patch([setTo("/connectionId")]))).toBe(400);
    });
  });

  describe("batches", () => {
    it("does everything in order and answers each operation", async () => {
      const pk = partition();
      const kept = await directory.items.create({ id: "head", connectionId: pk, n: 1 });
      await directory.items.create({ id: "old", connectionId: pk });
      const batch = await directory.items.batch(
        [
          {
            operationType: "Replace",
            id: "head",
            ifMatch: kept.etag,
            resourceBody: { id: "head", connectionId: pk, n: 2 },
          },
          { operationType: "Create", resourceBody: { id: "new", connectionId: pk } },
          { operationType: "Upsert", resourceBody: { id: "new", connectionId: pk, n: 1 } },
          { operationType: "Patch", id: "new", resourceBody: { operations: [{ op: "incr", path: "/n", value: 1 }] } },
          { operationType: "Read", id: "new" },
          { operationType: "Delete", id: "old" },
        ],
        pk,
      );
      expect(batch.code).toBe(200);
      expect(batch.result?.map(({ statusCode }) => statusCode)).toEqual([200, 201, 200, 200, 200, 204]);
      expect(batch.result?.[4]?.resourceBody).toMatchObject({ id: "new", n: 2 });
      expect(batch.result?.[0]?.eTag).toBe((await directory.item("head", pk).read()).etag);
    });

    it("leaves nothing behind when one operation fails: its own code, 424 for all others, 207 outside", async () => {
      const pk = partition();
      const kept = await directory.items.create<JSONObject>({ id: "head", connectionId: pk, n: 1 });
      await directory.items.create({ id: "there", connectionId: pk });
      const codes = async (...operations: OperationInput[]): Promise<unknown> => {
        const { code, result } = await directory.items.batch(operations, pk);
        return [code, result?.map(({ statusCode }) => statusCode)];
      };
      const replace: OperationInput = {
        operationType: "Replace",
        id: "head",
        ifMatch: kept.etag,
        resourceBody: { id: "head", connectionId: pk, n: 2 },
      };
      const create = (id: string): OperationInput => ({
        operationType: "Create",
        resourceBody: { id, connectionId: pk },
      });
      expect(await codes(replace, create("a"), create("there"), create("b"))).toEqual([207, [424, 424, 409, 424]]);
      expect(await codes(create("a"), { operationType: "Delete", id: "missing" })).toEqual([207, [424, 404]]);
      expect(await codes(create("a"), { ...replace, ifMatch: '"never"' })).toEqual([207, [424, 412]]);
      expect((await directory.item("head", pk).read()).etag).toBe(kept.etag);
      expect(await query(pk, "WHERE c.id IN ('a', 'b')")).toEqual([]);
    });

    it("leaves out the documents written, not those read, when the client asks for less", async () => {
      const pk = partition();
      const batch = await directory.items.batch(
        [
          { operationType: "Create", resourceBody: { id: "new", connectionId: pk } },
          { operationType: "Read", id: "new" },
        ],
        pk,
        { contentResponseOnWriteEnabled: false },
      );
      expect(batch.result?.[0]).toMatchObject({ statusCode: 201, eTag: expect.any(String) });
      expect(batch.result?.[0]).not.toHaveProperty("resourceBody");
      expect(batch.result?.[1]?.resourceBody).toMatchObject({ id: "new" });
    });

    it("takes 100 operations and at most 2 MB", async () => {
      const pk = partition();
      const creates = (text: string): OperationInput[] =>
        Array.from({ length: 100 }, (_, n) => ({
          operationType: "Create",
          resourceBody: { id: `u:${n}`, connectionId: pk, text },
        }));
      const tooMuch = directory.items.batch(creates("x".repeat(22_000)), pk);
      await expect(tooMuch).rejects.toMatchObject({ cause: { code: 413 } });
      expect((await directory.items.batch(creates("x"), pk)).code).toBe(200);
      expect(await query(pk, "")).toHaveLength(100);
    });
  });

  describe("time to live", () => {
    it("hides what has expired at once from reads, queries, counts and creates; a write starts it anew", async () => {
      const pk = partition();
      const put = (id: string, ttl?: number) =>
        directory.items.upsert({ id, connectionId: pk, kind: "log", subjects: ["s"], ...(ttl && { ttl }) });
      await Promise.all([put("short", 2), put("renewed", 2), put("never", -1), put("default")]);
      await account().letPass(1);
      await put("renewed", 60);
      await account().letPass(3);
      expect((await directory.item("short", pk).read()).statusCode).toBe(404);
      const alive = ["default", "never", "renewed"];
      expect((await query(pk, "WHERE c.kind = 'log'")).toSorted()).toEqual(alive);
      expect((await query(pk, "WHERE ARRAY_CONTAINS(c.subjects, 's')")).toSorted()).toEqual(alive);
      const count = directory.items.query("SELECT VALUE COUNT(1) FROM c WHERE c.kind = 'log'", { partitionKey: pk });
      expect((await count.fetchAll()).resources).toEqual([3]);
      const again = await directory.items.create({ id: "short", connectionId: pk, kind: "log" });
      expect(again.statusCode).toBe(201);
    });
  });
};

const ifMatch = (etag: string) => ({ accessCondition: { type: "IfMatch", condition: etag } });

const setTo = (path: string) => ({ op: "set" as const, path, value: "x" });
