import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { sealRef } from "../../../src/core/directory/ref.ts";
import { PersonExport } from "../../../src/core/privacy/export-person.ts";
import { ids } from "../../../src/core/store/documents.ts";
import { flipped } from "../../support/tamper.ts";
import { caller, codeOf } from "../views-stage.ts";
import { officer, openPrivacyScene, type PrivacyScene } from "./privacy-stage.ts";

let scene: PrivacyScene;
beforeAll(async () => {
  scene = await openPrivacyScene(5);
});
afterAll(() => scene.stage.close());

const exported = async (personId: string, input = {}) => {
  const answer = await scene.export(officer, scene.connectionId, personId, input);
  return PersonExport.parse(answer);
};

describe("what is held of one person", () => {
  test("is given out whole, and of other people only that they are there", async () => {
    const oid = scene.crew[0] ?? "";
    const id = scene.id(oid);
    await scene.views.linkProductUser(
      { ...caller("integration:sync"), subject: "somebody-else" },
      scene.connectionId,
      id,
      undefined,
      { productUserId: "user-1" },
    );
    scene.mutate({ op: "update-user", id: oid, set: { jobTitle: "Bosun" } });
    scene.mutate({ op: "set-manager", id: oid, managerId: scene.people.clerk });
    await scene.stage.sync(scene.connectionId);

    const { commitId } = await scene.head();
    const found = await exported(id);
    expect(found.person).toMatchObject({
      state: "active",
      record: { objectId: oid, manager: "another person", attributes: { displayName: "Sailor 0", jobTitle: "Bosun" } },
      productUserId: "user-1",
    });
    expect(found.groups.map(({ role, name }) => [role, name]).toSorted()).toEqual([
      ["shown", "inner"],
      ["shown", "outer"],
    ]);
    expect(found.log.next).toBeNull();
    expect(found.log.entries.map(({ type, content }) => [type, content])).toEqual([
      ["person.updated", "open"],
      ["product-user.changed", "open"],
      ["person.created", "open"],
    ]);
    const managers = found.log.entries.flatMap(({ changes }) => changes.filter(({ field }) => field === "manager"));
    expect(managers).toEqual([
      { field: "manager", before: "another person", after: "another person" },
      { field: "manager", before: null, after: "another person" },
    ]);
    const text = JSON.stringify(found);
    for (const other of [scene.people.chief, scene.people.clerk, scene.crew[1] ?? ""]) {
      expect(text).not.toContain(other);
      expect(text).not.toContain(scene.id(other));
    }
    expect(text).not.toContain("somebody-else");
    expect(found.summary.join(" ")).toContain("The person is in 2 stored groups: inner, outer.");
    expect(found.notIncluded.map(({ what }) => what).join(" ")).toContain("access log");
    // Nothing is written: it is not kept anywhere.
    expect(await scene.head()).toMatchObject({ commitId });
  });

  test("of somebody who was erased is an id, the marker and a log without content", async () => {
    const id = scene.id(scene.crew[1] ?? "");
    await scene.erase(id);
    const found = await exported(id);
    expect(found.person).toMatchObject({ state: "erased", record: null, productUserId: null });
    expect(found.marker?.marker).toBe("erased");
    expect(found.groups).toEqual([]);
    expect(found.log.entries.map(({ type, content }) => [type, content])).toEqual([
      ["person.erased", "open"],
      ["person.created", "erased"],
    ]);
    expect(JSON.stringify(found)).not.toContain("Sailor");
  });

  test("is nothing for somebody who is only named by a reference, and nobody without one", async () => {
    const oid = "00000000-0000-4000-8000-00000000abcd";
    const id = scene.id(oid);
    expect(await codeOf(exported(id))).toBe("person-not-found");
    const found = await exported(id, { ref: sealRef(scene.stage.ambient, scene.context, oid) });
    expect(found).toMatchObject({ person: null, marker: null, groups: [], log: { entries: [], next: null } });
    expect(await codeOf(scene.export({ ...officer, workspaceId: "w2" }, scene.connectionId, id, {}))).toBe(
      "connection-not-found",
    );
  });

  test("is bounded: a long log comes in parts, each entry once", async () => {
    const id = scene.id(scene.crew[2] ?? "");
    const rounds = 60;
    for (let round = 0; round < rounds; round++) {
      const user = round % 2 === 0 ? `user-${id}` : null;
      await scene.views.linkProductUser(officer, scene.connectionId, id, undefined, { productUserId: user });
    }
    const first = await exported(id);
    expect(first.log.entries.length).toBeLessThan(rounds);
    expect(first.summary.join(" ")).toContain("more than");
    const second = await exported(id, { through: first.log.next ?? 0 });
    expect(second.log.next).toBeNull();
    const sequences = [...first.log.entries, ...second.log.entries].map(({ sequence }) => sequence);
    expect(new Set(sequences).size).toBe(rounds + 1);
    expect(sequences).toEqual(sequences.toSorted((one, other) => other - one));
    expect(sequences).toHaveLength(rounds + 1);
  });

  test("of somebody whose stored texts were altered says so and gives the rest", async () => {
    const id = scene.id(scene.crew[4] ?? "");
    await scene.views.linkProductUser(officer, scene.connectionId, id, undefined, { productUserId: "user-4" });
    const stored = await scene.stage.store.read(scene.connectionId, "person", ids.person(id));
    if (!stored?.record || !stored.key) throw new Error("nobody");
    const { _etag, ...doc } = stored;
    await scene.put({ ...doc, record: flipped(stored.record) });
    const damaged = await exported(id);
    expect(damaged.person).toMatchObject({ unreadable: ["record"], record: null, productUserId: "user-4" });
    expect(damaged.summary.join(" ")).toContain("cannot be opened any more (record)");
    expect(damaged.log.entries.map(({ content }) => content)).toEqual(["open", "open"]);
    await scene.put({ ...doc, key: { ...stored.key, wrapped: flipped(stored.key.wrapped) } });
    const keyless = await exported(id);
    expect(keyless.person).toMatchObject({ unreadable: ["record", "productUserId"], record: null });
    expect(keyless.log.entries.map(({ content }) => content)).toEqual(["unreadable", "unreadable"]);
    expect(keyless.summary.join(" ")).toContain("2 of them altered since they were recorded");
    await scene.put(doc);
  });

  test("tells what the scope decides by as well, though no view ever shows it", async () => {
    const oid = scene.crew[3] ?? "";
    const id = scene.id(oid);
    const stored = await scene.stage.store.read(scene.connectionId, "person", ids.person(id));
    expect(stored?.record).toEqual(expect.any(String));
    const found = await exported(id);
    const { attributes = {}, decisive = {} } = found.person?.record ?? {};
    expect({ ...attributes, ...decisive }).toMatchObject({ mail: "sailor3@t1.example", userType: "Member" });
  });
});
