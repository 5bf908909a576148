/** A plan that the guard has stopped, where the settings demand that two people have had a hand in it. */
import { describe, expect, it } from "vitest";
import { changeSettings } from "../../../src/core/connections/change-settings.ts";
import type { Caller } from "../../../src/core/context.ts";
import { ids } from "../../../src/core/store/documents.ts";
import { approveRun, requestRun } from "../../../src/core/views/runs.ts";
import type { Stage } from "../../support/sync-stage.ts";
import { caller, codeOf } from "../views-stage.ts";
import { end, openScene, people, type Scene, withStage } from "./trap-scene.ts";

let stage: Stage;
withStage(34, (started) => {
  stage = started;
});

const who = (subject: string): Caller => ({ ...caller("integration:approve"), subject });
const needsOf = (s: Scene) => ({ ...stage.needs, keys: { ring: () => Promise.resolve(s.context.ring) } });

/** `bob` has made the settings; the plan of a run waits that `ada` asked for, or nobody. */
const waiting = async (secondPerson: boolean, asked = true): Promise<{ approve(subject: string): Promise<string> }> => {
  const s = await openScene(stage, { before: people(4) });
  await s.sync("full");
  const { settings, settingsVersion } = await s.connection();
  const guard = { share: 1, floor: 0, offUntil: null, secondPerson };
  const chosen = { ...settings, automatic: true, guard };
  await changeSettings(needsOf(s))(who("bob"), s.connectionId, `"${settingsVersion}"`, chosen);
  s.change(end("delete", 1));
  if (asked) await requestRun(needsOf(s))(who("ada"), s.connectionId, { mode: "delta" });
  else await s.lay({ head: { dueAt: stage.ambient.now(), wakeAt: stage.ambient.now() } });
  expect(await s.step()).toBe("waiting");
  const { run } = await s.head();
  const planHash = run?.planHash ?? "";
  expect((await stage.store.read(s.connectionId, "run", ids.run(run?.id ?? "")))?.phase).toBe("waiting");
  return {
    approve: (subject) => codeOf(approveRun(needsOf(s))(who(subject), s.connectionId, run?.id ?? "", { planHash })),
  };
};

describe("where a second person is demanded", () => {
  it("neither who asked for the run nor who changed the settings last approves its plan; anybody else does", async () => {
    const { approve } = await waiting(true);
    expect([await approve("ada"), await approve("bob")]).toEqual(["second-person-required", "second-person-required"]);
    expect(await approve("eve")).toBe("none");
  });

  it("of a run of the schedule only who changed the settings does not", async () => {
    const { approve } = await waiting(true, false);
    expect([await approve("bob"), await approve("ada")]).toEqual(["second-person-required", "none"]);
  });
});

it("otherwise whoever asked may approve as well", async () => {
  expect(await (await waiting(false)).approve("ada")).toBe("none");
});
