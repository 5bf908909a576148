/** Whatever the settings, and however they change while the tenant lives: what is held is what the naive oracle expects. */
import * as fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { RunDoc } from "../../../src/core/store/documents.ts";
import { controlKeyHeader } from "../../../src/local/cosmos/control.ts";
import { isPerson } from "../../../src/local/simulator/directory/oracle-rules.ts";
import { type Random, randomOf } from "../../../src/local/simulator/directory/random.ts";
import { anyChoice, type Choice, inWords, otherChoice, pairwise } from "../../support/scope-settings.ts";
import { openScenario, plannedCounts, type Scenario } from "../../support/settings-scenario.ts";
import { type Stage, startStage } from "../../support/sync-stage.ts";
import { documentsIn, finderOf, tracesOf } from "../../support/traces.ts";

let stage: Stage;
const sent: string[] = [];
beforeAll(async () => {
  stage = await startStage();
  const { hints } = stage.needs;
  stage.needs.hints = {
    send: async (hint, delaySeconds) => {
      sent.push(JSON.stringify(hint));
      await hints.send(hint, delaySeconds);
    },
  };
});
afterAll(() => stage.close());

const nothing = {
  peopleCreated: 0,
  peopleUpdated: 0,
  peopleRevived: 0,
  peopleDeactivated: 0,
  peopleKept: 0,
  groupsCreated: 0,
  groupsUpdated: 0,
  groupsRemoved: 0,
  membershipsAdded: 0,
  membershipsRemoved: 0,
  moved: 0,
};

/** The plan of a dry run, and then of the run, of a directory that stands still. */
const runAsPlanned = async (scenario: Scenario, plan: object = {}): Promise<void> => {
  await scenario.sync("dry-run");
  const planned = await scenario.newestRun();
  expect(plannedCounts(planned)).toMatchObject(plan);
  await scenario.sync();
  await scenario.agrees();
  const done = await scenario.newestRun();
  if (done.id === planned.id) expect(plannedCounts(planned)).toMatchObject(nothing);
  else expect([done.planHash, plannedCounts(done)]).toEqual([planned.planHash, plannedCounts(planned)]);
};

/** What was said beforehand of settings that have been chosen since has come true. */
const sameCounts = async (scenario: Scenario, impact: RunDoc): Promise<void> => {
  const done = await scenario.newestRun();
  if (done.mode === "dry-run") expect(plannedCounts(impact)).toMatchObject(nothing);
  else expect(plannedCounts(done)).toEqual(plannedCounts(impact));
};

const switchSome = async (scenario: Scenario, random: Random): Promise<void> => {
  const people = [...scenario.directory.users.values()].filter(isPerson);
  for (let count = 0; count < 3; count++) await scenario.switch(random.pick(people).id, random.chance(0.5));
  await scenario.agrees();
};

const strangers = new Set<string>();
/** Each is looked for in some twenty forms. */
const enoughStrangers = 20_000;
const rounds = 4;

const liveThrough = async (seed: number, first: Choice): Promise<void> => {
  const random = randomOf("rounds of settings", seed);
  const scenario = await openScenario(stage, { seed, choice: first });
  await scenario.sync("full");
  await scenario.agrees();
  let choice = first;
  for (let round = 1; round <= rounds; round++) {
    if (random.chance(0.8)) scenario.live(seed * 100 + round, 15);
    let impact: RunDoc | null = null;
    if (random.chance(0.7)) {
      const next = otherChoice(choice, random);
      const pick = random.chance(0.5) ? seed : seed * 100 + round;
      // The blacklist is no part of what is proposed.
      if (next.blacklist === "none" && choice.blacklist === "none") impact = await scenario.impact(next, pick);
      choice = next;
      await scenario.choose(choice, pick);
    }
    const said = `${round}: ${inWords(choice)}`;
    const run = random.chance(0.4) ? runAsPlanned(scenario) : scenario.sync().then(() => scenario.agrees());
    await run.catch((error: unknown) => {
      throw new Error(`in round ${said}`, { cause: error });
    });
    if (impact) await sameCounts(scenario, impact);
    if (random.chance(0.3)) await switchSome(scenario, random);
  }
  await scenario.replays();

  // It may still find that people who are gone for good are in no group and manage nobody: deltas tell that late or never.
  await scenario.sync("full");
  await scenario.agrees();
  const { sequence } = await scenario.head();
  await runAsPlanned(scenario, nothing);
  await scenario.sync("full");
  await scenario.agrees();
  const later = await scenario.newEntries(sequence);
  expect(later.filter(({ kind }) => kind !== "run")).toEqual([]);

  const words = scenario.strangers();
  const opened = await scenario.openedTexts();
  expect([...words].filter((word) => opened.has(word))).toEqual([]);
  if (strangers.size < enoughStrangers) for (const word of words) strangers.add(word);

  stage.ambient.advance(31 * 86_400_000);
  await stage.settleOnce(scenario.connectionId);
  scenario.oracle.retire(stage.ambient.now());
  await scenario.agrees();
  await scenario.replays();
};

describe("rounds under changing settings", () => {
  describe("every two levels of two settings together", () => {
    for (const [index, choice] of pairwise().entries())
      it(`${index + 1}: ${inWords(choice)}`, () => liveThrough(1000 + index, choice));
  });

  describe("settings by chance", () => {
    const choices = fc.sample(anyChoice, { seed: 7, numRuns: process.env.LONG ? 500 : 6 });
    for (const [index, choice] of choices.entries())
      it(`${index + 1}: ${inWords(choice)}`, () => liveThrough(2000 + index, choice));
  });

  it("leave no word of people whom no settings admitted", async () => {
    expect(strangers.size).toBeGreaterThan(100);
    const answer = await fetch(`${stage.cosmos.endpoint}/_control/dump`, {
      headers: { [controlKeyHeader]: stage.cosmos.key },
    });
    const { clear, sealed } = tracesOf(documentsIn(await answer.text()));
    const finder = finderOf(strangers);
    expect(finder.among(clear)).toEqual([]);
    expect(finder.inside(sealed)).toEqual([]);
    expect(finder.among(sent.map((text) => ({ where: "queue", text })))).toEqual([]);
  });
});
