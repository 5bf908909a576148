import { afterAll, beforeEach, describe, expect, test } from "vitest";
import { blindIndex } from "../../src/core/crypto/key-ring.ts";
import { ids } from "../../src/core/store/documents.ts";
import { LinkProductUsers, linkProductUsers } from "../../src/core/views/link-product-users.ts";
import { MatchProductUsers } from "../../src/core/views/match-product-users.ts";
import { held, replay } from "../support/held.ts";
import { caller, codeOf, openScene, overtaken, type Scene } from "./views-stage.ts";

const ada = caller();
const nobody = "n".repeat(22);
let scene: Scene;
const scenes: Scene[] = [];
beforeEach(async () => {
  scene = await openScene();
  scenes.push(scene);
});
afterAll(() => Promise.all(scenes.map(({ stage }) => stage.close())));

const linkMany = async (...items: [person: string, productUserId: string | null][]) => {
  const asked = { items: items.map(([person, productUserId]) => ({ person, productUserId })) };
  const answer = await scene.views.linkProductUsers(ada, scene.connectionId, asked);
  expect(answer.items.map(({ person, productUserId }) => [person, productUserId])).toEqual(items);
  return answer.items.map(({ outcome, code }) => code ?? outcome);
};

const listed = async (link?: "linked" | "unmatched" | "ambiguous", state: "active" | "deactivated" = "active") => {
  const found: string[] = [];
  for (let after: string | undefined; ; ) {
    const page = await scene.views.listPeople(ada, scene.connectionId, {
      state,
      link,
      limit: 2,
      ...(after === undefined ? {} : { after }),
    });
    found.push(...page.items.map(({ id }) => id));
    if (page.next === null) return found;
    after = page.next;
  }
};

const userOf = async (person: string) => (await scene.views.readPerson(ada, scene.connectionId, person)).productUserId;

const match = async (...candidates: MatchProductUsers["candidates"]) =>
  (await scene.views.matchProductUsers(ada, scene.connectionId, { candidates })).items;

describe("many links at once", () => {
  test("are made in one transaction, each with its record and who did it", async () => {
    const everybody = await listed();
    expect(everybody.length).toBeGreaterThan(3);
    const { sequence } = await scene.head();
    const writes: number[] = [];
    const { store } = scene.needs;
    const counted: typeof store = {
      ...store,
      write: (connectionId, batch) => {
        writes.push(batch.length);
        return store.write(connectionId, batch);
      },
    };
    const items = everybody.map((person, index) => ({ person, productUserId: `p-${index}` }));
    await linkProductUsers({ ...scene.needs, store: counted })(ada, scene.connectionId, { items });
    expect(writes).toEqual([2 + 2 * everybody.length]);
    const changes = await scene.views.readChanges(caller("audit:read"), scene.connectionId, {
      after: sequence,
      limit: 200,
      waitSeconds: 0,
    });
    expect(changes.items).toMatchObject(
      items.map(({ person, productUserId }) => ({
        type: "product-user.changed",
        object: person,
        correlationId: "c-1",
        changes: [{ field: "productUserId", before: null, after: productUserId }],
        actor: { subject: "ada", ip: "203.0.113.7" },
      })),
    );
  });

  test("have an outcome each, and one that is refused stops no other", async () => {
    const { people, id, mutate, stage, connectionId } = scene;
    const [chief, clerk] = [id(people.chief), id(people.clerk)];
    const [third = "", fourth = ""] = (await listed()).filter((person) => person !== chief && person !== clerk);
    mutate({ op: "delete-user", id: people.clerk });
    await stage.sync(connectionId);
    await linkMany([chief, "p-1"]);
    expect(await linkMany([nobody, "p-2"], [clerk, "p-3"], ["../x", "p-4"], [third, "p-1"], [fourth, "p-5"])).toEqual([
      "person-not-found",
      "state-conflict",
      "person-not-found",
      "product-user-taken",
      "linked",
    ]);
    expect(await Promise.all([chief, third, fourth].map(userOf))).toEqual(["p-1", null, "p-5"]);
  });

  test("give a product user to one person, and pass it on when it becomes free", async () => {
    const { people, id, stage, context } = scene;
    const [chief, clerk] = [id(people.chief), id(people.clerk)];
    expect(await linkMany([chief, "p-1"], [clerk, "p-1"])).toEqual(["linked", "product-user-taken"]);
    expect(await linkMany([clerk, "p-1"], [chief, "p-2"])).toEqual(["linked", "linked"]);
    expect([await userOf(chief), await userOf(clerk)]).toEqual(["p-2", "p-1"]);
    // Neither is free before the other is.
    expect(await linkMany([clerk, "p-2"], [chief, "p-1"])).toEqual(["product-user-taken", "product-user-taken"]);
    expect(await linkMany([chief, null], [clerk, null])).toEqual(["unlinked", "unlinked"]);
    expect([await userOf(chief), await userOf(clerk)]).toEqual([null, null]);
    expect(await replay(stage.store, context)).toEqual(await held(stage.store, context));
  });

  test("name nobody twice", () => {
    const item = { person: nobody, productUserId: "p-1" };
    expect(LinkProductUsers.safeParse({ items: [item, { ...item, productUserId: null }] }).success).toBe(false);
    expect(LinkProductUsers.safeParse({ items: [item, { person: "x", productUserId: "p-1" }] }).success).toBe(true);
  });

  test("change nothing when they are asked for again", async () => {
    const { people, id } = scene;
    await linkMany([id(people.chief), "p-1"], [id(people.clerk), null]);
    const before = await scene.head();
    expect(await linkMany([id(people.chief), "p-1"], [id(people.clerk), null])).toEqual(["linked", "unlinked"]);
    expect(await scene.head()).toEqual(before);
  });

  test("meet somebody who is faster: he keeps what he took, and the rest is linked", async () => {
    const { people, id, views, connectionId, needs } = scene;
    const [chief, clerk] = [id(people.chief), id(people.clerk)];
    const take = () => views.linkProductUser(ada, connectionId, clerk, undefined, { productUserId: "p-1" });
    const racing = linkProductUsers(overtaken(needs, take));
    const { items } = await racing(ada, connectionId, {
      items: [
        { person: chief, productUserId: "p-1" },
        { person: clerk, productUserId: "p-2" },
      ],
    });
    expect(items.map(({ outcome, code }) => code ?? outcome)).toEqual(["product-user-taken", "linked"]);
    expect([await userOf(chief), await userOf(clerk)]).toEqual([null, "p-2"]);
  });
});

describe("the people who are linked, and those who are not", () => {
  test("are listed page by page, and together are everybody", async () => {
    const everybody = await listed();
    const [one = "", , two = ""] = everybody;
    await linkMany([one, "p-1"], [two, "p-2"]);
    expect(await listed("linked")).toEqual([one, two]);
    expect(await listed("unmatched")).toEqual(everybody.filter((person) => person !== one && person !== two));
    await linkMany([one, null]);
    expect(await listed("linked")).toEqual([two]);
  });

  test("are of the state that is asked for", async () => {
    const { people, id, mutate, stage, connectionId } = scene;
    await linkMany([id(people.clerk), "p-1"]);
    mutate({ op: "delete-user", id: people.clerk });
    await stage.sync(connectionId);
    expect(await listed("linked")).toEqual([]);
    expect(await listed("linked", "deactivated")).toEqual([id(people.clerk)]);
    expect(await listed("unmatched", "deactivated")).toEqual([]);
  });
});

describe("people who share an address", () => {
  test("are ambiguous until they are linked, one page at a time", async () => {
    const { people, id, mutate, stage, connectionId } = scene;
    expect(await listed("ambiguous")).toEqual([]);
    for (const person of [people.clerk, people.chief])
      mutate({ op: "update-user", id: person, set: { mail: "front.desk@t1.example" } });
    await stage.sync(connectionId);
    const both = [id(people.clerk), id(people.chief)].toSorted();
    expect(await listed("ambiguous")).toEqual(both);
    expect(await listed("ambiguous", "deactivated")).toEqual([]);
    await linkMany([id(people.clerk), "p-1"]);
    // The other one still has an address that is not his alone.
    expect(await listed("ambiguous")).toEqual([id(people.chief)]);
    mutate({ op: "delete-user", id: people.clerk });
    await stage.sync(connectionId);
    expect(await listed("ambiguous")).toEqual([]);
  });
});

describe("matching", () => {
  test("finds by address and sign-in name, whatever the case, and says that it proves nothing", async () => {
    const { people, id } = scene;
    await linkMany([id(people.chief), "p-1"]);
    expect(
      await match(
        { productUserId: "p-1", userPrincipalName: " CHIEF@T1.example " },
        { productUserId: "p-2", userPrincipalName: "clerk@t1.example", employeeId: "7" },
        { productUserId: "p-3", mail: "clerk@t1.example" },
      ),
    ).toEqual([
      {
        productUserId: "p-1",
        result: "one",
        proof: false,
        linkedTo: id(people.chief),
        persons: [{ id: id(people.chief), fits: ["userPrincipalName"], isLinked: true }],
      },
      {
        productUserId: "p-2",
        result: "one",
        proof: false,
        linkedTo: null,
        persons: [{ id: id(people.clerk), fits: ["userPrincipalName"], isLinked: false }],
      },
      // The clerk has no mail address; that of a sign-in name is another thing.
      { productUserId: "p-3", result: "none", proof: false, linkedTo: null, persons: [] },
    ]);
  });

  test("calls two who share an address ambiguous, and shows what else fits", async () => {
    const { people, id, mutate, stage, connectionId } = scene;
    mutate(
      { op: "update-user", id: people.chief, set: { mail: "office@t1.example", employeeId: "7" } },
      { op: "update-user", id: people.clerk, set: { mail: "Office@t1.example" } },
    );
    await stage.sync(connectionId);
    const [shared] = await match({ productUserId: "p-1", mail: "office@t1.example", employeeId: "7" });
    expect(shared?.result).toBe("ambiguous");
    expect(new Map(shared?.persons.map((person) => [person.id, person.fits]))).toEqual(
      new Map([
        [id(people.chief), ["mail", "employeeId"]],
        [id(people.clerk), ["mail"]],
      ]),
    );
    const [both] = await match({
      productUserId: "p-1",
      mail: "office@t1.example",
      userPrincipalName: "chief@t1.example",
    });
    expect(both?.persons.find((person) => person.id === id(people.chief))?.fits).toEqual(["mail", "userPrincipalName"]);
  });

  test("knows nobody who left", async () => {
    const { people, mutate, stage, connectionId } = scene;
    mutate({ op: "delete-user", id: people.clerk });
    await stage.sync(connectionId);
    expect(await match({ productUserId: "p-1", userPrincipalName: "clerk@t1.example" })).toMatchObject([
      { result: "none" },
    ]);
  });

  test("answers for many candidates in their order", async () => {
    const candidates = Array.from({ length: 47 }, (_, index) => ({
      productUserId: `p-${index}`,
      userPrincipalName: index === 31 ? "chief@t1.example" : `${index}@nowhere.example`,
    }));
    const found = await match(...candidates);
    expect(found.map(({ productUserId }) => productUserId)).toEqual(candidates.map((one) => one.productUserId));
    expect(found.flatMap(({ result }, index) => (result === "one" ? [index] : []))).toEqual([31]);
  });

  test("asks for an address", () => {
    const parse = (candidate: object) => MatchProductUsers.safeParse({ candidates: [candidate] }).success;
    expect(parse({ productUserId: "p", mail: "a@b.example" })).toBe(true);
    expect(parse({ productUserId: "p", employeeId: "7" })).toBe(false);
    expect(parse({ productUserId: "p", mail: "  " })).toBe(false);
  });
});

test("nothing links by e-mail on its own: a product user named by an address stays whom it was linked to", async () => {
  const { people, id, mutate, stage, connectionId, context } = scene;
  const address = "chief@t1.example";
  await linkMany([id(people.clerk), address]);
  await match({ productUserId: "p-9", mail: address, userPrincipalName: address });
  mutate({ op: "update-user", id: people.chief, set: { mail: address } });
  await stage.sync(connectionId);
  await stage.sync(connectionId, "full");
  expect(await userOf(id(people.chief))).toBeNull();
  expect(await userOf(id(people.clerk))).toBe(address);
  expect(await listed("linked")).toEqual([id(people.clerk)]);
  // The same text has unrelated hashes as a product user, an address and a sign-in name.
  const indexes = (["product-user", "mail", "upn"] as const).map((use) => blindIndex(context.ring, use, address));
  expect(new Set(indexes).size).toBe(3);
});

describe("somebody who is new in the feed", () => {
  const created = async (oid: string) => {
    const { items } = await scene.views.readChanges(ada, scene.connectionId, { after: 0, limit: 200, waitSeconds: 0 });
    return items.find(({ type, object }) => type === "person.created" && object === scene.id(oid));
  };

  test("comes with hints, which are gone with the content", async () => {
    const { people, id, put, stage, connectionId } = scene;
    expect((await created(people.clerk))?.matchHints).toEqual({
      mail: null,
      userPrincipalName: "clerk@t1.example",
      employeeId: null,
      proof: false,
    });
    const doc = await stage.store.read(connectionId, "person", ids.person(id(people.clerk)));
    if (!doc) throw new Error("no clerk");
    await put({ ...doc, state: "erased" });
    expect(await created(people.clerk)).not.toHaveProperty("matchHints");
  });

  test("is the only one with hints", async () => {
    const { people, mutate, stage, connectionId } = scene;
    const { sequence } = await scene.head();
    mutate({ op: "update-user", id: people.clerk, set: { mail: "new@t1.example" } });
    await stage.sync(connectionId);
    const page = await scene.views.readChanges(ada, connectionId, { after: sequence, limit: 200, waitSeconds: 0 });
    expect(page.items.map(({ type }) => type)).toContain("person.updated");
    expect(page.items.filter((change) => change.matchHints !== undefined)).toEqual([]);
  });
});

test("a link that nobody may make is not made by a batch either", async () => {
  const stranger = { ...ada, workspaceId: "w2" };
  const items = [{ person: scene.id(scene.people.clerk), productUserId: "p-1" }];
  expect(await codeOf(scene.views.linkProductUsers(stranger, scene.connectionId, { items }))).toBe(
    "connection-not-found",
  );
  expect(await listed("linked")).toEqual([]);
});
