/** Everything that is stored ends when the record of processing says so: written with its time, and gone when that is over. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { ContainerId, CosmosHandles } from "../../../src/adapters/cosmos/client.ts";
import { logSecondsOf } from "../../../src/core/audit/retention.ts";
import { newRow } from "../../../src/core/webhooks/rules.ts";
import { placeOf, recordFaults } from "../../support/record.ts";
import { documentsIn, dumpOf } from "../../support/traces.ts";
import { caller, connected, openStage, type Stage } from "../connections-stage.ts";
import { openPrivacyScene, type PrivacyScene } from "./privacy-stage.ts";

/** Another time than the usual one, so that nothing is right by chance. */
const logDays = 120;
const day = 86_400_000;

interface Server {
  endpoint: string;
  key: string;
}

/** How many documents of each kind the database still answers with. */
const placesIn = async (server: Server, handles: CosmosHandles): Promise<Record<string, number>> => {
  const counts: Record<string, number> = {};
  for (const stored of documentsIn(await dumpOf(server))) {
    const container = handles[stored.container as ContainerId];
    const { statusCode } = await container.item(stored.document.id, stored.partitionKey).read();
    if (statusCode === 200) counts[placeOf(stored)] = (counts[placeOf(stored)] ?? 0) + 1;
  }
  return counts;
};

describe("of a connection that is set up", () => {
  let stage: Stage;
  let id: string;
  const who = caller();
  beforeAll(async () => {
    stage = await openStage();
    Object.assign(stage.ambient, { logDays });
    ({ id } = await connected(stage));
    for (const name of ["a", "b"]) {
      const { etag } = await stage.cases.readSettings(who, id);
      await stage.cases.replaceBlacklist(who, id, etag, { entries: [`${name}@listed.example`] });
      const groups = (await stage.cases.listProductGroups(who, id, { limit: 1 })).etag;
      await stage.cases.changeProductGroups(who, id, groups, { items: [{ id: name, name }] });
    }
    await stage.needs.consumers.put(id, { name: "crm", sequence: 1, seenAt: 1 }, null);
    await stage.needs.webhooks.put(id, newRow("crm"), null);
  });
  afterAll(() => stage.close());

  test("every document is in the record, with every field and the time that it lives", async () => {
    expect(recordFaults(await dumpOf(stage.server), logDays)).toEqual([]);
    // Otherwise the test would prove little.
    expect(await placesIn(stage.server, stage.cosmos)).toMatchObject({
      "access record": expect.any(Number),
      "connections name": 1,
      "connections row": 1,
      "directory blacklist": 2,
      "directory log": expect.any(Number),
      "directory product-groups": 2,
      "directory proof": expect.any(Number),
      "directory ring": 1,
      "directory settings": 3,
      "handshakes code": 1,
      "handshakes connect": expect.any(Number),
      "state feed": 1,
      "state webhooks": 1,
    });
  });

  test("a field, a document or a time that the record does not know is found", async () => {
    const line = (document: object, container = "directory") =>
      JSON.stringify({ container, partitionKey: "k", document: { id: "x", ...document } });
    expect(recordFaults(line({ kind: "marker", name: "Ada" }))).toEqual(["directory marker.name is not in the record"]);
    expect(recordFaults(line({ kind: "note" }))).toEqual(["directory note is not in the record"]);
    expect(recordFaults(line({ kind: "log" }))).toEqual([
      "directory log lives -1 seconds, and the record says 34560000",
    ]);
    expect(recordFaults(line({ kind: "connect", ttl: 90_000 }, "handshakes"))).toHaveLength(1);
  });

  test("each is gone when its time is over, and what is in force stays", async () => {
    stage.ambient.advance(16 * 60_000);
    expect(
      Object.keys(await placesIn(stage.server, stage.cosmos)).filter((place) => place.startsWith("handshakes")),
    ).toEqual([]);
    stage.ambient.advance(day);
    expect((await placesIn(stage.server, stage.cosmos))["directory product-groups"]).toBe(1);
    stage.ambient.advance((logDays - 2) * day);
    expect(await placesIn(stage.server, stage.cosmos)).toMatchObject({
      "directory settings": 3,
      "directory blacklist": 2,
    });
    stage.ambient.advance(day);
    const left = await placesIn(stage.server, stage.cosmos);
    expect(left).toMatchObject({ "directory settings": 1, "directory blacklist": 1, "directory product-groups": 1 });
    expect(Object.keys(left)).not.toEqual(expect.arrayContaining(["directory log"]));
    expect(Object.keys(left)).not.toEqual(expect.arrayContaining(["access record"]));
    stage.ambient.advance(280 * day);
    expect(
      Object.keys(await placesIn(stage.server, stage.cosmos)).filter((place) => place.startsWith("state")),
    ).toEqual([]);
  });
});

describe("of a directory that is synchronised", () => {
  let scene: PrivacyScene;
  beforeAll(async () => {
    scene = await openPrivacyScene(3);
    Object.assign(scene.stage.ambient, { logDays });
  });
  afterAll(() => scene.stage.close());

  test("plans end after four days, runs and log with the logs, and people stay", async () => {
    const { stage, crew, id, connectionId, views } = scene;
    const { ambient, cosmos, handles } = stage;
    await stage.sync(connectionId, "dry-run");
    await views.linkProductUser({ ...caller(), workspaceId: "w1" }, connectionId, id(crew[0] ?? ""), undefined, {
      productUserId: "p-1",
    });
    await scene.erase(id(crew[1] ?? ""));
    await stage.sync(connectionId, "dry-run");
    const before = await placesIn(cosmos, handles);
    expect(before).toMatchObject({ "directory person": expect.any(Number), "directory marker": 1 });
    expect(Object.keys(before).filter((place) => place.startsWith("work"))).not.toEqual([]);
    // What was synchronised before the setting was another lives on with the time that it was written with.
    const faults = recordFaults(await dumpOf(cosmos), logDays);
    expect(faults.filter((fault) => !fault.includes(`lives ${logSecondsOf({})} seconds`))).toEqual([]);
    ambient.advance(4 * day + 60_000);
    expect(Object.keys(await placesIn(cosmos, handles)).filter((place) => place.startsWith("work"))).toEqual([]);
    const runs = (await placesIn(cosmos, handles))["directory run"] ?? 0;
    ambient.advance((logDays - 4) * day);
    expect((await placesIn(cosmos, handles))["directory run"] ?? 0).toBeLessThan(runs);
    ambient.advance(280 * day);
    const left = await placesIn(cosmos, handles);
    expect(left["directory person"]).toBe(before["directory person"]);
    expect(Object.keys(left)).not.toContain("directory log");
    expect(Object.keys(left)).not.toContain("directory run");
  });
});
