/**
 * Workers that die and settings that change while a directory is held under a narrow scope: selected nested groups, groups of the
 * product, a blacklist, people one by one. At rest, what is stored is what the oracle expects.
 */
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { open } from "../../../src/core/crypto/seal.ts";
import { cursorPlace, type WorkerNeeds } from "../../../src/core/directory/run/round.ts";
import { work } from "../../../src/core/directory/run/worker.ts";
import { commit } from "../../../src/core/store/commit.ts";
import { type Head, type RunMode, type RunState } from "../../../src/core/store/documents.ts";
import { approveRun } from "../../../src/core/views/runs.ts";
import { comparable, expected, type Held, held, replay } from "../../support/held.ts";
import type { Choice } from "../../support/scope-settings.ts";
import { openScenario, type Scenario } from "../../support/settings-scenario.ts";
import { type Stage, startStage, wideSettings } from "../../support/sync-stage.ts";
import { caller } from "../views-stage.ts";

let stage: Stage;
let healthy: WorkerNeeds;
beforeAll(async () => {
  stage = await startStage({ seed: 9 });
  healthy = stage.needs;
});
afterEach(() => {
  stage.needs = healthy;
});
afterAll(() => stage.close());

const wide: Choice = {
  from: "groups",
  membership: "nested",
  include: "groups",
  groupKinds: "all",
  mapping: "many to one",
  unmapped: "import",
  kinds: "all",
  oneByOne: "everybody",
  blacklist: "none",
  fields: "default",
  clear: "no field",
  leaving: "deactivate",
};
const narrow: Choice = { ...wide, kinds: "careful", oneByOne: "enabled only", blacklist: "partner domain" };
const filtersOnly: Choice = { ...wide, include: "people only", blacklist: "addresses" };
const everybody: Choice = { ...wide, from: "everybody" };

/** Needs that call `after` behind every commit that was carried out. */
const watched = (needs: WorkerNeeds, after: (head: Head) => Promise<void>): WorkerNeeds => ({
  ...needs,
  store: new Proxy(needs.store, {
    get: (target, name) =>
      name === "write"
        ? async (...args: Parameters<typeof target.write>) => {
            const result = await target.write(...args);
            for (const write of args[1])
              if (result.ok && write.op === "replace" && write.doc.kind === "head") await after(write.doc);
            return result;
          }
        : Reflect.get(target, name),
  }),
});

interface Death {
  needs: WorkerNeeds;
  happened(): boolean;
}

type Deadly = (method: string, args: unknown[]) => boolean;
const commits: Deadly = (method) => method === "write";
/** Nothing but weighing goes through the people that are stored. */
const weighing: Deadly = (method, args) => method === "listIds" && args[1] === "person";

/** Dead at the n-th call that is deadly, which is carried out or not; nothing tried later has an effect. */
const mortal = (at: number, carriedOut: boolean, deadly: Deadly = commits, needs = healthy): Death => {
  let calls = 0;
  let dead = false;
  const dying = <T extends object>(part: T): T =>
    new Proxy(part, {
      get: (target, name) => {
        const member = Reflect.get(target, name);
        if (typeof member !== "function" || name === "requests") return member;
        return async (...args: unknown[]) => {
          if (dead) throw new Error("killed");
          if (!deadly(String(name), args) || ++calls < at) return Reflect.apply(member, target, args);
          dead = true;
          if (carriedOut) await Reflect.apply(member, target, args);
          throw new Error("killed");
        };
      },
    });
  const { store, work: parts, source, hints } = needs;
  return {
    needs: { ...needs, store: dying(store), work: dying(parts), source: dying(source), hints: dying(hints) },
    happened: () => dead,
  };
};

const ask = async (scenario: Scenario, mode: RunMode = "delta"): Promise<void> => {
  const requested = { runId: stage.ambient.ulid(), mode, cause: "manual" as const, at: stage.ambient.now() };
  await commit(healthy, await scenario.head(), {
    advance: (head) => ({ ...head, requested, wakeAt: stage.ambient.now() }),
  });
};

const hint = async (needs: WorkerNeeds, { connectionId }: Scenario): Promise<unknown> =>
  work(needs)({ connectionId, receivedAt: stage.ambient.now() }).catch(() => undefined);

/** The lease of whoever has died runs out. */
const outlive = async (scenario: Scenario): Promise<void> => {
  const { owner, leaseUntil } = await scenario.head();
  if (owner !== null) stage.ambient.advance(Math.max(0, leaseUntil - stage.ambient.now()) + 1);
};

const placeOf = ({ connectionId, context }: Scenario, run: RunState): string => {
  const { at } = open(context.ring.sealing, cursorPlace(connectionId, run.id), run.cursor);
  return "step" in at ? at.step : at.phase;
};

const isAtRest = async (scenario: Scenario): Promise<void> => {
  const { run, requested, lastRound } = await scenario.head();
  expect({ run, requested }).toEqual({ run: null, requested: null });
  expect(lastRound?.outcome).toMatch(/^(done|nothing)$/);
};

/** What a worker that has died left, worked to its end. */
const recovered = async (scenario: Scenario): Promise<void> => {
  await stage.settle(scenario.connectionId);
  await isAtRest(scenario);
  scenario.oracle.observe(scenario.directory, stage.ambient.now());
  await scenario.agrees();
  await countsMemberships(scenario);
};

/** Head counts the memberships of the groups that are shown, whoever the members are. */
const countsMemberships = async (scenario: Scenario): Promise<void> => {
  const groups = await stage.store.list(scenario.connectionId, "group", { limit: 200 });
  const shown = new Set(groups.filter((doc) => doc.shown).map(({ id }) => id.slice(2)));
  const shards = await stage.store.list(scenario.connectionId, "members", { limit: 500 });
  const stored = shards.filter(({ groupId }) => shown.has(groupId)).flatMap(({ members }) => members);
  expect((await scenario.head()).counters.memberships).toBe(stored.length);
};

const said = (what: string) => (error: unknown) => {
  throw new Error(what, { cause: error });
};

describe("a worker that dies", () => {
  const settings = [
    { title: "groups and people of selected groups", one: wide, other: narrow, seed: 31 },
    {
      title: "people of selected groups alone",
      one: filtersOnly,
      other: { ...narrow, include: "people only" },
      seed: 32,
    },
    { title: "everybody, and groups of the product", one: everybody, other: narrow, seed: 33 },
  ] as const;
  const stride = process.env.LONG ? 1 : 4;
  const lastCommit = 120;
  for (const { title, one, other, seed } of settings)
    it(`at any commit of a round loses and doubles nothing: ${title}`, { timeout: 600_000 }, async () => {
      const scenario = await openScenario(stage, { seed, choice: one, users: 90, groups: 18 });
      await scenario.sync("full");
      await scenario.agrees();
      const places = new Set<string>();
      // The tenant grows with each round, and so does the round: commit by commit one would never come to its end.
      for (let at = 1, survived = 0; survived < 2 && at <= lastCommit; at += stride) {
        scenario.live(seed * 1000 + at, 12);
        const toOther = places.size % 2 === 0;
        await scenario.choose(toOther ? other : one, toOther ? seed : seed + at);
        await ask(scenario);
        // Every page and step is a checkpoint: a place to die at.
        const death = mortal(at, at % 8 < 4, commits, { ...healthy, sliceMilliseconds: 0 });
        do await hint(death.needs, scenario);
        while (!death.happened() && (await scenario.head()).run);
        if (!death.happened()) survived++;
        const { run } = await scenario.head();
        const place = run ? placeOf(scenario, run) : "rest";
        places.add(place);
        await recovered(scenario).catch(said(`after death ${at}, in ${place}`));
      }
      await scenario.replays();
      expect(places.size).toBeGreaterThan(2);
    });

  it("in each step of a round, whichever comes first, and in weighing", { timeout: 600_000 }, async () => {
    const scenario = await openScenario(stage, { seed: 35, choice: wide, users: 90, groups: 18 });
    await scenario.sync("full");
    const wanted = new Set(["absent-groups", "admitting", "memberships", "derived-groups", "candidates", "applying"]);
    const rounds = wanted.size;
    for (let round = 1; round <= rounds; round++) {
      scenario.live(3500 + round, 25);
      // A group more is read by itself, and its members are candidates; other kinds of people are a full read.
      await scenario.choose(wide, 35 + round);
      await ask(scenario);
      let met: string | null = null;
      stage.needs = { ...healthy, sliceMilliseconds: 0 };
      for (let slice = 0; slice < 300 && met === null; slice++) {
        await hint(stage.needs, scenario);
        const { run } = await scenario.head();
        if (!run) break;
        const place = placeOf(scenario, run);
        if (wanted.delete(place)) met = place;
      }
      // Dead in the middle of that step, before anything of it is written.
      if (met !== null) await hint(mortal(1, false).needs, scenario);
      stage.needs = healthy;
      await outlive(scenario);
      await recovered(scenario).catch(said(`after a death in ${met}`));
    }
    expect([...wanted]).toEqual([]);

    scenario.live(3600, 25);
    await scenario.choose(narrow, 36);
    await ask(scenario, "full");
    const death = mortal(1, true, weighing);
    await hint(death.needs, scenario);
    expect(death.happened()).toBe(true);
    await recovered(scenario);
    await scenario.replays();
  });

  it("around a plan that waits, and when it is applied", { timeout: 600_000 }, async () => {
    const guard = { ...wideSettings.guard, share: 1, floor: 1, offUntil: null };
    const scenario = await openScenario(stage, { seed: 34, choice: wide, users: 140, groups: 18 });
    await scenario.sync("full");
    const needs = { ...healthy, keys: { ring: async () => scenario.context.ring } };
    for (let at = 1; at <= 4; at++) {
      await scenario.choose(at % 2 === 1 ? narrow : wide, 34, { guard });
      scenario.live(3400 + at, 20);
      const leavers = [...scenario.directory.users.keys()].slice(0, 8);
      for (const id of leavers) scenario.directory.apply({ op: "delete-user", id });
      await ask(scenario);
      await hint(mortal(at, at % 2 === 0).needs, scenario);
      const waits = async () => (await scenario.head()).run?.stopped?.approved === false;
      for (let turn = 0; turn < 10 && !(await waits()); turn++) {
        await outlive(scenario);
        await hint(healthy, scenario);
      }
      const { run } = await scenario.head();
      expect(run?.phase, `a plan waits after death ${at}`).toBe("waiting");
      await scenario.agrees();
      const approval = { planHash: run?.planHash as string };
      await approveRun(needs)(caller("integration:approve"), scenario.connectionId, run?.id as string, approval);
      await hint(mortal(at, at % 2 === 1).needs, scenario);
      await outlive(scenario);
      await recovered(scenario).catch(said(`after death ${at}`));
    }
    await scenario.replays();
  });
});

describe("settings that change while a plan is applied", () => {
  const groupsOf = ({ groups, filters }: Held) => ({
    filters,
    groups: new Map(Object.entries(groups).map(([id, { members, children }]) => [id, { members, children }])),
  });
  /** As `agrees`, but for people whom only the void run had admitted, and for what was kept of a group that it had let go. */
  const agreesButForAdmitted = async (scenario: Scenario): Promise<void> => {
    const { context } = scenario;
    const view = scenario.oracle.view();
    const found = comparable(await held(stage.store, context), view, context);
    const wanted = expected(view, context);
    const active = ({ people }: Held) => Object.entries(people).filter(([, { state }]) => state === "active");
    expect(Object.fromEntries(active(found))).toEqual(Object.fromEntries(active(wanted)));
    expect(groupsOf(found)).toEqual(groupsOf(wanted));
  };

  const turns = process.env.LONG ? 12 : 3;
  for (const [title, one, other, seed] of [
    ["selected groups", wide, narrow, 51],
    ["people of selected groups alone", filtersOnly, wide, 52],
    ["everybody", everybody, narrow, 53],
  ] as const)
    it(`and change back are as if they never had: ${title}`, { timeout: 600_000 }, async () => {
      const scenario = await openScenario(stage, { seed, choice: one, users: 140, groups: 20 });
      await scenario.sync("full");
      let voided = 0;
      for (let turn = 1; turn <= turns; turn++) {
        await scenario.choose(other, seed + turn);
        scenario.live(seed * 100 + turn, 30);
        await ask(scenario);
        let applying = 0;
        const needs = watched(healthy, async ({ run }) => {
          if (run?.phase !== "applying" || ++applying !== turn) return;
          voided++;
          await scenario.choose(one, seed);
        });
        await hint(needs, scenario);
        stage.needs = healthy;
        // The whole plan may have gone out before its turn came.
        if (voided < turn) await scenario.choose(one, seed);
        await stage.settle(scenario.connectionId);
        await scenario.sync();
        await agreesButForAdmitted(scenario).catch(said(`in turn ${turn}`));
        await countsMemberships(scenario);
      }
      expect(voided).toBeGreaterThan(0);
      await replay(stage.store, scenario.context);
    });
});
