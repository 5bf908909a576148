/** A connection whose deletion is undone goes on where it was, also with a run that nobody has put away. */
import { afterAll, beforeAll, expect, it } from "vitest";
import { ids, type RunState } from "../../../src/core/store/documents.ts";
import { caller, connected, openStage, type Stage } from "../connections-stage.ts";

let stage: Stage;
beforeAll(async () => {
  stage = await openStage();
});
afterAll(() => stage.close());

it("a run that was under way when the deletion began is put away after it is undone, though nothing is on schedule", async () => {
  const { id, displayName } = await connected(stage, caller(), "Closing");
  const settings = await stage.cases.readSettings(caller(), id);
  const { version: _version, etag, ...values } = settings;
  await stage.cases.changeSettings(caller(), id, etag, { ...values, automatic: false });
  // As a worker leaves it that died between two checkpoints.
  const run: Partial<RunState> = { id: stage.ambient.ulid(), mode: "full", phase: "reading", epoch: 1 };
  await stage.cosmos.directory.item(ids.head, id).patch([{ op: "set", path: "/run", value: run }]);
  await stage.cases.close(caller(), id, { displayName });
  await stage.cases.restore(caller(), id);
  const head = await stage.store.read(id, "head", ids.head);
  expect(head).toMatchObject({ run: { id: run.id }, dueAt: null });
  expect(head?.wakeAt).toBeLessThanOrEqual(stage.ambient.now());
});
