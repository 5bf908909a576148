/** Traps in how the feeds tell of one object: repeated, in part, cleared, unknown, misspelt. */
import { describe, expect, it } from "vitest";
import { AppError } from "../../../src/core/errors.ts";
import type { Stage } from "../../support/sync-stage.ts";
import {
  appearances,
  end,
  group,
  guid,
  join,
  kinds,
  leave,
  manage,
  microsoft365,
  openScene,
  people,
  person,
  range,
  set,
  without,
  withStage,
} from "./trap-scene.ts";

let stage: Stage;
withStage(3, (started) => {
  stage = started;
});

describe("an object that comes several times in a round", () => {
  it("is one change and one record, in a full read and in a delta", async () => {
    const s = await openScene(stage, {
      before: [...range(1, 12).map((n) => person(n)), group(500, range(1, 12)), group(501)],
      traits: { repeats: 1, pageSize: 3 },
    });
    const first = await s.sync("full");
    expect(appearances(first, "users", 4).length).toBeGreaterThan(1);
    expect(first.run?.counts).toMatchObject({ peopleCreated: s.directory.users.size, groupsCreated: 2 });
    expect(first.entries.filter(({ kind }) => kind === "person")).toHaveLength(s.directory.users.size);
    s.change(set(4, { jobTitle: "Lead" }), set(501, { description: "new" }), end("delete", 5));
    const second = await s.sync();
    expect([appearances(second, "users", 4).length, appearances(second, "groups", 501).length]).toEqual([2, 2]);
    expect(second.run?.counts).toMatchObject({ peopleUpdated: 1, groupsUpdated: 1, peopleDeactivated: 1 });
    expect(kinds(second.entries).toSorted()).toEqual([
      "group updated",
      "person deactivated",
      "person updated",
      "run ended",
    ]);
    await s.agrees();
  });

  it("once with and once without the manager keeps the manager, whichever comes first", async () => {
    const s = await openScene(stage, { before: [person(1), ...range(2, 10).map((n) => person(n, {}, 1))] });
    s.alter = (feed, objects) =>
      feed === "groups"
        ? objects
        : objects.flatMap(({ manager, ...rest }, at) => {
            if (!manager) return [rest];
            const both = [rest, { ...rest, manager }];
            return at % 2 === 0 ? both : both.toReversed();
          });
    const first = await s.sync("full");
    const orders = range(2, 10).map((n) => appearances(first, "users", n).map(({ manager }) => manager !== undefined));
    expect(new Set(orders.map(String))).toEqual(new Set(["false,true", "true,false"]));
    await s.agrees();
    expect((await s.sync("full")).entries).toEqual([]);
  });

  it("makes no other plan: its hash is the same however often Graph repeats itself", async () => {
    const s = await openScene(stage, {
      before: [...people(12), group(500, range(1, 6)), group(501, [], { description: "all" })],
    });
    await s.sync("full");
    s.change(...range(1, 6).flatMap((n) => [set(n, { city: "Kiel", jobTitle: null }), join(501, n)]));
    s.change(leave(500, 1), set(501, { description: null, mailNickname: "everybody" }), end("delete", 9), person(20));
    const hashes: unknown[] = [];
    const { store } = stage.needs;
    stage.needs = {
      ...stage.needs,
      store: {
        ...store,
        write: async (connectionId, writes) => {
          const run = writes.flatMap((write) => (write.op === "create" && write.doc.kind === "run" ? [write.doc] : []));
          if (run[0]?.planHash) {
            hashes.push(run[0].planHash);
            throw new AppError("store-unavailable");
          }
          return store.write(connectionId, writes);
        },
      },
    };
    await s.ask();
    expect(await s.step()).toBe("retries");
    s.alter = (_feed, objects) => [...objects, ...objects.map((object) => ({ ...object })).toReversed()];
    expect(await s.nextStep()).toBe("retries");
    expect(hashes).toEqual([expect.stringMatching(/^[0-9a-f]{64}$/), hashes[0]]);
    stage.needs = { ...stage.needs, store };
    await s.sync();
    await s.agrees();
  });

  it("counts a field that was kept once", async () => {
    const s = await openScene(stage, { before: [person(1)], traits: { repeats: 1 } });
    await s.sync("full");
    s.change(set(1, { jobTitle: null, city: "Kiel" }));
    const second = await s.sync();
    expect(appearances(second, "users", 1)).toHaveLength(2);
    expect(second.run?.counts.keptThoughCleared).toBe(1);
  });
});

describe("pages", () => {
  it("that are empty, many in a row, are followed to the end", async () => {
    const s = await openScene(stage, {
      before: range(1, 12).map((n) => person(n)),
      traits: { emptyPages: 0.9, pageSize: 2 },
    });
    const { pages } = await s.sync("full");
    const rows = pages.map(({ objects }) => (objects.length === 0 ? "." : "#")).join("");
    expect(rows).toMatch(/\.{6}#/);
    await s.agrees();
  });

  it("of a later round that repeat what was told change nothing and write nothing", async () => {
    const s = await openScene(stage, {
      before: [
        ...range(1, 12).map((n) => person(n)),
        group(500, [1, 2, 3]),
        group(501, [4], microsoft365),
        group(502, [1], microsoft365),
      ],
    });
    await s.sync("full");
    s.change(
      person(13),
      set(1, { jobTitle: "Lead" }),
      manage(2, 1),
      end("delete", 3),
      join(500, 4),
      leave(500, 1),
      end("delete", 501),
      set(502, { description: "new" }),
    );
    await s.sync();
    s.traits({ replays: 1 });
    const again = await s.sync();
    const told = [1, 2, 3, 13].map((n) => appearances(again, "users", n).length);
    expect([...told, ...[500, 501, 502].map((n) => appearances(again, "groups", n).length)]).toEqual(Array(7).fill(1));
    expect([again.run, again.entries, again.head.lastRound?.outcome]).toEqual([null, [], "nothing"]);
    await s.agrees();
  });
});

describe("properties", () => {
  it("that are absent from a change stay as they are", async () => {
    const s = await openScene(stage, {
      before: [
        person(1),
        person(2, { city: "Bonn", accountEnabled: false }, 1),
        group(500, [1], { description: "all" }),
      ],
      traits: { sparseChanges: 1 },
    });
    await s.sync("full");
    s.change(set(2, { jobTitle: "Lead" }), join(500, 2));
    const second = await s.sync();
    expect(appearances(second, "users", 2)).toEqual([{ id: guid(2), properties: { jobTitle: "Lead" } }]);
    expect(appearances(second, "groups", 500).map(({ properties }) => properties)).toEqual([{}]);
    expect(second.run?.counts).toMatchObject({ peopleUpdated: 1, groupsUpdated: 0, keptThoughCleared: 0 });
    await s.agrees();
  });

  it("that were cleared keep their data and are counted, while false and new values flow", async () => {
    const full = {
      department: "Sales",
      officeLocation: "A1",
      mobilePhone: "1",
      otherMails: ["a@x.example"],
      businessPhones: ["2"],
    };
    const s = await openScene(stage, { before: [person(1, full), group(500, [], { description: "all" })] });
    await s.sync("full");
    s.change(
      set(1, { jobTitle: null, department: "", officeLocation: " \t", mobilePhone: "\u00a0", otherMails: [] }),
      set(1, { businessPhones: [" "], accountEnabled: false, city: "Kiel" }),
      set(500, { description: null }),
    );
    const { run } = await s.sync();
    expect(run?.counts).toMatchObject({ peopleUpdated: 1, groupsUpdated: 0, keptThoughCleared: 7 });
    expect((await s.stored(1))?.record.fields).toMatchObject({
      jobTitle: "Engineer",
      ...full,
      accountEnabled: false,
      city: "Kiel",
    });
    const { entries } = await s.sync("full");
    expect(entries).toEqual([]);
  });

  it("that were never set are not there, and do not count as kept", async () => {
    const s = await openScene(stage, { before: [person(1, { mail: undefined, jobTitle: undefined })] });
    s.alter = without(1);
    await s.sync("full");
    s.alter = null;
    s.change(set(1, { city: "Kiel" }), person(2, { mail: undefined }));
    const { run } = await s.sync();
    expect(run?.counts).toMatchObject({ peopleCreated: 2, keptThoughCleared: 0 });
    expect(Object.keys((await s.stored(1))?.record.fields ?? {}).toSorted()).toEqual([
      "accountEnabled",
      "city",
      "displayName",
      "userPrincipalName",
    ]);
    s.change(set(1, { country: "DE" }));
    expect((await s.sync()).run?.counts).toMatchObject({ peopleUpdated: 1, keptThoughCleared: 0 });
    await s.agrees();
  });
});

describe("managers", () => {
  it("replaced and taken away in every shape and order leave the one who is", async () => {
    const reports = range(10, 40);
    const s = await openScene(stage, { before: [person(1), person(2), ...reports.map((n) => person(n, {}, 1))] });
    await s.sync("full");
    s.change(...reports.map((n) => manage(n, n % 4 === 0 ? null : 2)));
    const second = await s.sync();
    const shapes = reports.map((n) =>
      appearances(second, "users", n).map(({ manager = [] }) =>
        manager.map(({ removed }) => (removed ? "-" : "+")).join(""),
      ),
    );
    expect(new Set(shapes.map(String))).toEqual(new Set(["+", "+-", "-+", "-"]));
    for (const n of reports) expect((await s.stored(n))?.record.manager).toBe(n % 4 === 0 ? null : s.personId(2));
    await s.agrees();
  });
});

describe("a person nobody knows yet", () => {
  it("whom a delta names with half of the properties is read live", async () => {
    const s = await openScene(stage, {
      before: [person(1), person(2, { city: "Bonn" }, 1)],
      traits: { sparseChanges: 1 },
    });
    s.alter = without(2);
    await s.sync("full");
    expect(await s.stored(2)).toBeNull();
    s.alter = null;
    s.change(set(2, { jobTitle: "Lead" }));
    const second = await s.sync();
    expect(appearances(second, "users", 2)).toEqual([{ id: guid(2), properties: { jobTitle: "Lead" } }]);
    await s.agrees();
  });

  it("and cannot be read now is set aside alone, and caught by the next round", async () => {
    const s = await openScene(stage, { before: [person(1)] });
    await s.sync("full");
    s.change(person(2), person(3), set(1, { jobTitle: "Lead" }));
    s.fault({ trouble: { kind: "status", status: 503 }, inBatch: true, path: `^/users/${guid(2)}` });
    const second = await s.sync();
    expect(second.run).toMatchObject({
      outcome: "done",
      counts: { peopleCreated: 1, peopleUpdated: 1, skipped: 1 },
      warnings: [{ code: "person-not-readable", object: s.personId(2) }],
    });
    expect(await s.stored(2)).toBeNull();
    const third = await s.sync();
    expect(third.run).toMatchObject({ mode: "full", counts: { peopleCreated: 1 } });
    await s.agrees();
    expect((await s.sync()).requests.map(({ link }) => link)).toEqual(["delta", "delta"]);
  });
});

describe("accounts and ids", () => {
  it("of an AI agent are nobody: not in a full read, not in a delta, not among the members shown", async () => {
    const agent = { "@odata.type": "#microsoft.graph.agentUser" };
    const s = await openScene(stage, { before: [person(1), person(2, agent), group(500, [1, 2])] });
    await s.sync("full");
    s.change(person(3, agent), set(2, { jobTitle: "Lead" }), join(500, 3), set(1, { city: "Kiel" }));
    const second = await s.sync();
    expect(second.run?.counts).toMatchObject({ peopleCreated: 0, peopleUpdated: 1 });
    expect([await s.stored(2), await s.stored(3)]).toEqual([null, null]);
    await s.agrees();
  });

  it("printed in upper case are the same people and groups", async () => {
    const ten = 0x1abc;
    const s = await openScene(stage, {
      before: [person(1), person(10, {}, 1), person(0xab, {}, 1), group(ten, [1, 10, 0xab]), group(0x2def, [ten])],
    });
    await s.sync("full");
    s.traits({ upperCaseIds: 1 });
    s.change(
      set(10, { jobTitle: "Lead" }),
      manage(1, 0xab),
      person(0xfa, {}, 0xab),
      join(ten, 0xfa),
      leave(ten, 10),
      leave(0x2def, ten),
    );
    const second = await s.sync();
    expect(second.run?.counts).toMatchObject({ peopleCreated: 1, peopleUpdated: 2, groupsCreated: 0 });
    await s.agrees();
    expect((await s.sync("full")).entries).toEqual([]);
  });
});
