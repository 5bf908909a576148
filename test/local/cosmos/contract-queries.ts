import type { Container, OperationInput } from "@azure/cosmos";
import { beforeAll, describe, expect, it } from "vitest";
import { idsOf, pages, partition } from "./asking.ts";
import type { CosmosUnderTest } from "./contract.ts";

export const queryContract = (account: () => CosmosUnderTest): void => {
  let directory: Container;
  beforeAll(() => {
    directory = account().client.database(account().database).container("directory");
  });
  const query = (pk: string, where: string, values?: Record<string, unknown>) => idsOf(directory, pk, where, values);

  describe("queries", () => {
    const documents: ({ id: string } & Record<string, unknown>)[] = [
      { id: "absent" },
      { id: "array", state: ["x"] },
      { id: "false", state: false },
      { id: "five", state: 5, kind: "n", wakeAt: 5 },
      { id: "minus", state: -1.5, kind: "n", wakeAt: -1 },
      { id: "null", state: null },
      { id: "ten", state: 10, kind: "n", wakeAt: 10 },
      { id: "text", state: "a'b", kind: "t", mailIndex: "m1" },
      { id: "text-2", state: "b", kind: "t", upnIndex: "m1", members: ["p1", "p2"] },
      { id: "true", state: true, members: ["p2"], nested: { deep: [1] } },
    ];
    const all = documents.map(({ id }) => id);
    let pk: string;

    beforeAll(async () => {
      pk = partition();
      for (const document of documents) await directory.items.create({ ...document, connectionId: pk });
      await directory.items.create({ id: "foreign", connectionId: partition(), kind: "n", state: 5, members: ["p1"] });
    });

    it.each<[where: string, values: Record<string, unknown>, expected: string[]]>([
      ["", {}, all],
      ["WHERE c.state = 5", {}, ["five"]],
      ["WHERE c.state = @v", { v: "a'b" }, ["text"]],
      ["WHERE c.state = 'a\\'b'", {}, ["text"]],
      ['WHERE c["state"] = "b"', {}, ["text-2"]],
      ["WHERE c.state = null", {}, ["null"]],
      ["WHERE IS_NULL(c.state)", {}, ["null"]],
      ["WHERE c.state = false", {}, ["false"]],
      ["WHERE NOT IS_DEFINED(c.state)", {}, ["absent"]],
      ["WHERE IS_DEFINED(c.kind) AND NOT (c.kind = 't')", {}, ["five", "minus", "ten"]],
      ["WHERE c.state < 10", {}, ["five", "minus"]],
      ["WHERE c.state <= 10 AND c.state > -1.5", {}, ["five", "ten"]],
      ["WHERE NOT (c.state < 10)", {}, ["ten"]],
      ["WHERE 5 <= c.state", {}, ["five", "ten"]],
      ["WHERE c.state BETWEEN 0 AND 9 AND c.kind = 'n'", {}, ["five"]],
      ["WHERE c.state >= 'a'", {}, ["text", "text-2"]],
      ["WHERE c.state IN (5, 'b', null)", {}, ["five", "null", "text-2"]],
      ["WHERE c.kind NOT IN ('n')", {}, ["text", "text-2"]],
      ["WHERE STARTSWITH(c.state, 'a')", {}, ["text"]],
      ["WHERE STARTSWITH(c.id, @p)", { p: "te" }, ["ten", "text", "text-2"]],
      ["WHERE c.id > 'te' AND c.id < 'text-'", {}, ["ten", "text"]],
      ["WHERE ARRAY_CONTAINS(c.members, @p)", { p: "p2" }, ["text-2", "true"]],
      ["WHERE ARRAY_CONTAINS(c.members, 'p1') AND c.kind = 't'", {}, ["text-2"]],
      ["WHERE ARRAY_CONTAINS(c.members, 'p1') OR c.state = 10", {}, ["ten", "text-2"]],
      ["WHERE c.mailIndex = @m OR c.upnIndex = @m", { m: "m1" }, ["text", "text-2"]],
      ["WHERE ARRAY_CONTAINS(@ids, c.id)", { ids: ["ten", "true", "none"] }, ["ten", "true"]],
      ["WHERE (c.kind = 'n' OR c.kind = 't') AND NOT (c.state = 5 OR c.state = 'b')", {}, ["minus", "ten", "text"]],
      ["WHERE c.connectionId = 'someone else'", {}, []],
    ])("%s", async (where, values, expected) => {
      expect((await query(pk, where, values)).toSorted()).toEqual(expected);
    });

    it("follows every write with the indexes of arrays and scalars", async () => {
      const own = partition();
      const found = async () => [
        await query(own, "WHERE ARRAY_CONTAINS(c.members, 'a')"),
        await query(own, "WHERE ARRAY_CONTAINS(c.members, 'b')"),
        await query(own, "WHERE c.state = 1"),
      ];
      const item = directory.item("m:1", own);
      await directory.items.create({ id: "m:1", connectionId: own, members: ["a", "a"], state: 1 });
      expect(await found()).toEqual([["m:1"], [], ["m:1"]]);
      await item.patch([{ op: "add", path: "/members/-", value: "b" }]);
      expect(await found()).toEqual([["m:1"], ["m:1"], ["m:1"]]);
      await item.replace({ id: "m:1", connectionId: own, members: ["b"], state: 2 });
      expect(await found()).toEqual([[], ["m:1"], []]);
      await item.delete();
      expect(await found()).toEqual([[], [], []]);
    });

    it("orders by one property, without the documents that lack it", async () => {
      expect(await query(pk, "WHERE c.kind = 'n' ORDER BY c.wakeAt")).toEqual(["minus", "five", "ten"]);
      expect(await query(pk, "ORDER BY c.wakeAt DESC")).toEqual(["ten", "five", "minus"]);
      expect(await query(pk, "ORDER BY c.id ASC")).toEqual(all);
      expect(await query(pk, "WHERE c.kind IN ('n', 't') ORDER BY c.id DESC")).toEqual([
        "text-2",
        "text",
        "ten",
        "minus",
        "five",
      ]);
    });

    it("selects documents, values, properties and aggregates", async () => {
      const select = async (text: string): Promise<unknown[]> =>
        (await directory.items.query(text, { partitionKey: pk }).fetchAll()).resources;
      expect(await select("SELECT TOP 2 c.id FROM c ORDER BY c.id")).toEqual([{ id: "absent" }, { id: "array" }]);
      expect(await select("SELECT VALUE c.id FROM c WHERE c.kind = 't' ORDER BY c.id")).toEqual(["text", "text-2"]);
      expect(await select("SELECT c.id, c.kind AS sort FROM c WHERE c.id = 'absent'")).toEqual([{ id: "absent" }]);
      expect(await select("SELECT VALUE c.nested.deep FROM c WHERE c.id IN ('true', 'text')")).toEqual([[1]]);
      expect(await select("SELECT VALUE COUNT(1) FROM c WHERE c.kind = 'n'")).toEqual([3]);
      expect(await select("SELECT VALUE MAX(c.wakeAt) FROM c WHERE c.kind = 'n'")).toEqual([10]);
      expect(await select("SELECT VALUE MIN(c.wakeAt) FROM c WHERE c.kind = 'n'")).toEqual([-1]);
      expect(await select("SELECT VALUE SUM(c.wakeAt) FROM c WHERE c.kind = 'n'")).toEqual([14]);
      const [whole] = await select("SELECT * FROM root r WHERE r.id = 'five'");
      expect(whole).toEqual((await directory.item("five", pk).read()).resource);
    });

    it("finds what is due in all partitions by the one filter that is allowed to", async () => {
      const due = 1_000_000 + Math.floor(Math.random() * 1_000_000_000);
      const keys = [partition(), partition(), partition()];
      for (const [n, key] of keys.entries())
        await directory.items.create({ id: "head", connectionId: key, wakeAt: due + n });
      const found = await pages<{ connectionId: string }>(
        directory,
        {
          query: "SELECT c.connectionId FROM c WHERE c.wakeAt >= @from AND c.wakeAt < @to",
          values: { from: due, to: due + 2 },
        },
        { maxItemCount: 1 },
      );
      expect(
        found
          .flat()
          .map(({ connectionId }) => connectionId)
          .toSorted(),
      ).toEqual(keys.slice(0, 2).toSorted());
    });
  });

  describe("pages", () => {
    it("neither repeats nor skips while others write, and resumes from a continuation in another iterator", async () => {
      const pk = partition();
      const ids = Array.from({ length: 30 }, (_, n) => `u:${String(n).padStart(2, "0")}`);
      const create = (id: string): OperationInput => ({
        operationType: "Create",
        resourceBody: { id, connectionId: pk, kind: "person", last: Number(id.slice(2)) % 7 },
      });
      await directory.items.batch(ids.map(create), pk);
      let strangers = 0;
      for (const where of [
        "",
        "WHERE c.kind = 'person'",
        "WHERE STARTSWITH(c.id, 'u:')",
        "WHERE c.last >= 0",
        "ORDER BY c.last",
      ]) {
        const seen: string[] = [];
        let continuationToken: string | undefined;
        do {
          const page = await directory.items
            .query<{ id: string }>(`SELECT c.id FROM c ${where}`, {
              partitionKey: pk,
              maxItemCount: 4,
              ...(continuationToken && { continuationToken }),
            })
            .fetchNext();
          expect(page.resources.length).toBeLessThanOrEqual(4);
          seen.push(...page.resources.map(({ id }) => id));
          continuationToken = page.continuationToken;
          // One that was seen goes and comes back, a stranger comes and goes: neither may move the others.
          await directory.item(seen[0] ?? "", pk).delete();
          await directory.items.create({ id: `v:${strangers++}`, connectionId: pk });
          const [restored] = seen;
          if (restored) await directory.items.batch([create(restored)], pk);
        } while (continuationToken);
        const watched = seen.filter((id) => id.startsWith("u:") && id !== seen[0]);
        expect(watched.toSorted()).toEqual(ids.filter((id) => id !== seen[0]));
      }
    });

    it("cuts a page at 4 MB", async () => {
      const pk = partition();
      const text = "x".repeat(1_500_000);
      for (const id of ["a", "b", "c", "d"]) await directory.items.create({ id, connectionId: pk, kind: "big", text });
      const found = await pages(
        directory,
        { query: "SELECT * FROM c WHERE c.kind = 'big'", values: {} },
        { partitionKey: pk },
      );
      expect(found.flat()).toHaveLength(4);
      expect(Math.max(...found.map((page) => page.length))).toBeLessThan(3);
    });
  });
};
