/** Whoever waits for changes must not go on seeing what came to an end meanwhile. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { ids } from "../../src/core/store/documents.ts";
import { readChanges } from "../../src/core/views/changes.ts";
import { caller, codeOf, openScene, type Scene } from "../core/views-stage.ts";

let scene: Scene;
beforeAll(async () => {
  scene = await openScene();
});
afterAll(() => scene.stage.close());

test("a feed that is waited on ends with the connection: nothing is shown once its deletion has begun", async () => {
  const { connectionId, needs, stage } = scene;
  const { sequence } = await scene.head();
  const directory = stage.handles.directory;
  const waiting = readChanges({
    ...needs,
    wait: async (milliseconds) => {
      await needs.wait(milliseconds);
      await directory.item(ids.connection, connectionId).patch([{ op: "set", path: "/state", value: "closing" }]);
      // What would otherwise be shown: an entry that came with the deletion.
      await directory.item(ids.head, connectionId).patch([{ op: "incr", path: "/sequence", value: 1 }]);
    },
  })(caller(), connectionId, { after: sequence, limit: 10, waitSeconds: 20 });
  expect(await codeOf(waiting)).toBe("state-conflict");
});
