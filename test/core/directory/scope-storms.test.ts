/** Graph fails in every way it is known to, under settings by chance: nobody is taken away for that, and nothing is lost. */
import * as fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Random, randomOf } from "../../../src/local/simulator/directory/random.ts";
import type { Fault } from "../../../src/local/simulator/graph/faults.ts";
import { held } from "../../support/held.ts";
import { anyChoice, inWords, otherChoice } from "../../support/scope-settings.ts";
import { openScenario, type Scenario } from "../../support/settings-scenario.ts";
import { type Stage, startStage } from "../../support/sync-stage.ts";

let stage: Stage;
beforeAll(async () => {
  stage = await startStage({ seed: 13 });
});
afterAll(() => stage.close());

describe("a storm over Graph", () => {
  const storms = process.env.LONG ? 200 : 20;
  const choices = fc.sample(anyChoice, { seed: 11, numRuns: storms });
  for (const [index, choice] of choices.entries())
    it(`takes nobody away and loses nothing (${index + 1}: ${inWords(choice)})`, { timeout: 120_000 }, async () => {
      const seed = 6000 + index;
      const random = randomOf("storms", seed);
      const scenario = await openScenario(stage, { seed, choice, users: 40, groups: 10 });
      await scenario.sync("full");
      let current = choice;
      for (const round of [1, 2]) {
        scenario.live(seed * 10 + round, 12);
        if (random.chance(0.6)) current = otherChoice(current, random);
        await scenario.choose(current, seed);
        const before = await activePeople(scenario);
        await rage(scenario, random, seed * 10 + round);
        const during = await activePeople(scenario);
        // A run that gave up in the storm left everything as it was; the next one catches up.
        await scenario.sync();
        await scenario.agrees();
        const after = await activePeople(scenario);
        expect([...after].filter((id) => before.has(id) && !during.has(id))).toEqual([]);
      }
      await scenario.replays();
    });

  const activePeople = async ({ context }: Scenario): Promise<Set<string>> =>
    new Set(
      Object.entries((await held(stage.store, context)).people).flatMap(([id, { state }]) =>
        state === "active" ? [id] : [],
      ),
    );

  /** A run in the storm, until it has ended in one way or another. */
  const rage = async (scenario: Scenario, random: Random, seed: number): Promise<void> => {
    const { tid, connectionId } = scenario;
    const { commands } = stage.simulator;
    const rare = () => random.below(8) / 100;
    commands.storm.run({
      storm: {
        seed,
        throttle: rare(),
        throttleInBatch: rare(),
        unavailable: rare(),
        error: rare(),
        badGateway: rare(),
        reset: rare(),
        truncated: rare(),
        html: rare(),
        longestRetryAfterSeconds: 40,
      },
    });
    commands.switches.run({ tid, traits: { replays: random.below(6) / 10 } });
    const expired: Fault[] = [
      { tid, trouble: { kind: "status", status: 401, code: "InvalidAuthenticationToken" }, after: random.below(6) },
      { tid, trouble: { kind: "page-token-expired" }, after: random.below(3) },
      { tid, trouble: { kind: "delta-link-too-old" } },
    ];
    commands.faults.run({ add: expired.filter(() => random.chance(0.3)) });
    await stage.sync(connectionId, random.chance(0.3) ? "full" : "delta");
    commands.storm.run({ storm: null });
    commands.faults.run({ clear: true });
    commands.switches.run({ tid, traits: { replays: 0.2 } });
    expect((await scenario.head()).run).toBeNull();
  };
});
