import { afterAll, beforeEach, describe, expect, test } from "vitest";
import { readConnection } from "../../src/core/connections/read.ts";
import { AcknowledgeChanges, deadAfterMilliseconds, maxConsumers } from "../../src/core/feed/consumers.ts";
import { readLog } from "../support/held.ts";
import { caller, codeOf, openScene, type Scene } from "./views-stage.ts";

const ada = caller("directory:read");
const day = 86_400_000;
let scene: Scene;
const scenes: Scene[] = [];
beforeEach(async () => {
  scene = await openScene();
  scenes.push(scene);
});
afterAll(() => Promise.all(scenes.map(({ stage }) => stage.close())));

const acknowledge = (consumer: string, sequence: number) =>
  scene.views.acknowledgeChanges(ada, scene.connectionId, { consumer, sequence });
const consumers = () => scene.views.listConsumers(ada, scene.connectionId);
const states = async () => (await consumers()).map(({ name, state }) => `${name} ${state}`);
const head = async () => (await scene.head()).sequence;
/** One more entry in the log. */
const change = () =>
  scene.views.linkProductUser(ada, scene.connectionId, scene.id(scene.people.chief), undefined, {
    productUserId: scene.stage.ambient.ulid(),
  });

describe("an acknowledgement", () => {
  test("says where a consumer is, and how much waits for it", async () => {
    const sequence = await head();
    expect(await acknowledge("crm", sequence - 3)).toEqual({
      name: "crm",
      sequence: sequence - 3,
      lag: 3,
      lastSeenAt: expect.any(String),
      state: "behind",
    });
    expect(await acknowledge("crm", sequence)).toMatchObject({ sequence, lag: 0, state: "live" });
    await acknowledge("billing", 0);
    expect(await states()).toEqual(["billing behind", "crm live"]);
  });

  test("that comes late takes nothing back", async () => {
    const sequence = await head();
    await acknowledge("crm", sequence);
    expect((await acknowledge("crm", sequence - 2)).sequence).toBe(sequence);
    expect(await consumers()).toMatchObject([{ sequence }]);
  });

  test("takes no change that is not there", async () => {
    expect(await codeOf(acknowledge("crm", (await head()) + 1))).toBe("invalid-request");
    expect(await consumers()).toEqual([]);
  });

  test("counts anew when the place was of a log that is lost", async () => {
    const { needs, connectionId } = scene;
    await needs.consumers.put(connectionId, { name: "crm", sequence: (await head()) + 50, seenAt: 0 }, null);
    expect(await consumers()).toMatchObject([{ lag: 0, state: "live" }]);
    expect(await acknowledge("crm", 4)).toMatchObject({ sequence: 4, state: "behind" });
  });

  test("of two at once keeps the further one", async () => {
    const sequence = await head();
    await acknowledge("crm", 0);
    await Promise.all([acknowledge("crm", sequence), acknowledge("crm", 3), acknowledge("crm", 5)]);
    expect(await consumers()).toMatchObject([{ name: "crm", sequence }]);
  });

  test("is under a name of letters, digits and a few signs", () => {
    const accepted = (consumer: string) => AcknowledgeChanges.safeParse({ consumer, sequence: 0 }).success;
    expect(["a", "Crm_2.eu-west", "x".repeat(64)].filter(accepted)).toHaveLength(3);
    expect(["", "x".repeat(65), "..", ".a", "a/b", "a b", "ada@contoso.example", "a\n"].filter(accepted)).toEqual([]);
  });

  test("does not make consumers without end", async () => {
    for (let index = 0; index < maxConsumers; index++) await acknowledge(`c-${index}`, 0);
    expect(await codeOf(acknowledge("one-more", 0))).toBe("too-many-consumers");
    expect(await codeOf(acknowledge("c-0", 1))).toBe("none");
    await scene.views.removeConsumer(ada, scene.connectionId, "c-1");
    expect(await codeOf(acknowledge("one-more", 0))).toBe("none");
  });
});

describe("a consumer", () => {
  test("is dead when changes have waited for seven days and it said nothing", async () => {
    const { ambient } = scene.stage;
    await acknowledge("crm", 0);
    ambient.advance(deadAfterMilliseconds - 60_000);
    expect(await states()).toEqual(["crm behind"]);
    ambient.advance(60_000);
    expect(await states()).toEqual(["crm dead"]);
    await acknowledge("crm", 1);
    expect(await states()).toEqual(["crm behind"]);
  });

  test("is not dead because nothing has happened for long, and has seven days when something does", async () => {
    const { ambient } = scene.stage;
    await acknowledge("crm", await head());
    ambient.advance(30 * day);
    expect(await states()).toEqual(["crm live"]);
    await change();
    expect(await states()).toEqual(["crm behind"]);
    ambient.advance(6 * day);
    await change();
    expect(await states()).toEqual(["crm behind"]);
    ambient.advance(day);
    expect(await states()).toEqual(["crm dead"]);
  });

  test("that is dead is counted where the connection is shown", async () => {
    const { needs, connectionId } = scene;
    const read = () => readConnection(needs)(ada, connectionId);
    await acknowledge("crm", 0);
    await acknowledge("billing", await head());
    expect((await read()).deadConsumers).toBe(0);
    scene.stage.ambient.advance(deadAfterMilliseconds);
    expect((await read()).deadConsumers).toBe(1);
    await scene.views.removeConsumer(ada, connectionId, "crm");
    expect((await read()).deadConsumers).toBe(0);
  });

  test("is removed by name, and another connection has its own", async () => {
    const { views, connectionId, stage } = scene;
    await acknowledge("crm", 2);
    const other = await stage.connect(scene.tid);
    expect(await codeOf(views.removeConsumer(ada, other.connectionId, "crm"))).toBe("consumer-not-found");
    expect(await views.removeConsumer(ada, connectionId, "crm")).toMatchObject({ name: "crm", sequence: 2 });
    expect(await codeOf(views.removeConsumer(ada, connectionId, "crm"))).toBe("consumer-not-found");
    expect(await consumers()).toEqual([]);
  });

  test("goes when it has been silent for as long as the log lives", async () => {
    await acknowledge("crm", 0);
    const [{ ttl = 0 } = {}] = await readLog(scene.stage.store, scene.connectionId);
    expect(ttl).toBeGreaterThan(0);
    scene.stage.ambient.advance(ttl * 1000 - 60_000);
    expect(await consumers()).toHaveLength(1);
    scene.stage.ambient.advance(120_000);
    expect(await consumers()).toEqual([]);
  });
});
