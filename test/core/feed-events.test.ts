import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import { changeSettings } from "../../src/core/connections/change-settings.ts";
import { eventSchemas, eventsDocument } from "../../src/core/feed/events.ts";
import type { ChangeView } from "../../src/core/views/changes.ts";
import { caller, openScene, type Scene } from "./views-stage.ts";

const ada = caller("directory:read", "audit:read");
let scene: Scene;
let changes: ChangeView[];

/** A life of a connection: nearly everything that can stand in a log. */
beforeAll(async () => {
  scene = await openScene();
  const { stage, connectionId, context, people, groups, id, mutate, views, needs } = scene;
  mutate({ op: "update-user", id: people.clerk, set: { jobTitle: "Clerk" } });
  await stage.sync(connectionId);
  mutate(
    { op: "delete-user", id: people.clerk },
    { op: "update-group", id: groups.outer, set: { description: "Outside" } },
    { op: "delete-group", id: groups.inner },
  );
  await stage.sync(connectionId);
  mutate({ op: "restore-user", id: people.clerk });
  await stage.sync(connectionId);
  await views.linkProductUser(ada, connectionId, id(people.chief), undefined, { productUserId: "p-1" });
  const run = await views.requestRun(ada, connectionId, { mode: "dry-run" });
  await views.cancelRun(ada, connectionId, run.id);
  const settings = { ...context.settings, intervalMinutes: 30 };
  await changeSettings(needs)(ada, connectionId, '"1"', settings);
  changes = (await views.readChanges(ada, connectionId, { after: 0, limit: 500, waitSeconds: 0 })).items;
});
afterAll(() => scene.stage.close());

describe("the published events", () => {
  test("are those that the feed tells, each with type and version", () => {
    const told = new Set(changes.map(({ type }) => type));
    expect([...told].filter((type) => !eventSchemas.has(type))).toEqual([]);
    expect([...told].toSorted()).toEqual(
      [
        "group.created",
        "group.removed",
        "group.updated",
        "members.changed",
        "person.created",
        "person.deactivated",
        "person.revived",
        "person.updated",
        "product-user.changed",
        "run.cancelled",
        "run.ended",
        "run.requested",
        "settings.updated",
      ].toSorted(),
    );
    for (const change of changes) expect([change.type, change.version]).toEqual([`${change.kind}.${change.op}`, 1]);
  });

  test("have every member that the feed shows, in the form that the feed shows", () => {
    for (const change of changes) expect(eventSchemas.get(change.type)?.parse(change)).toEqual(change);
  });

  test("are told apart by their type alone", () => {
    for (const change of changes.slice(0, 5)) {
      const fitting = [...eventSchemas].filter(([, schema]) => schema.safeParse(change).success);
      expect(fitting.map(([type]) => type)).toEqual([change.type]);
    }
  });

  test("stand in one JSON Schema whose references lead somewhere, and which lets new members in", () => {
    const document = z
      .object({
        $id: z.string(),
        oneOf: z.array(z.object({ $ref: z.string() })),
        $defs: z.record(
          z.string(),
          z.looseObject({ description: z.string(), properties: z.record(z.string(), z.unknown()) }),
        ),
      })
      .parse(eventsDocument("https://sync.example"));
    expect(document.$id).toBe("https://sync.example/api/v1/events.json");
    expect(document.oneOf.map(({ $ref }) => $ref.replace("#/$defs/", ""))).toEqual(Object.keys(document.$defs));
    for (const [type, schema] of Object.entries(document.$defs)) {
      expect(schema.properties).toMatchObject({ type: { const: type }, version: { const: 1 } });
      expect(schema).not.toHaveProperty("additionalProperties");
    }
    expect(document.$defs["person.created"]?.properties).toHaveProperty("matchHints");
    expect(document.$defs["person.updated"]?.properties).not.toHaveProperty("matchHints");
  });
});
