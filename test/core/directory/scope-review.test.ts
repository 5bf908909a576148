/** Ways in which somebody could stay in the scope, come into it or be lost to it by mistake. */
import { describe, expect, it } from "vitest";
import type { Settings } from "../../../src/core/connections/settings.ts";
import { sealRef } from "../../../src/core/directory/ref.ts";
import { standingOf } from "../../../src/core/directory/standing.ts";
import { switchPerson } from "../../../src/core/directory/switch-person.ts";
import { commit } from "../../../src/core/store/commit.ts";
import { ids } from "../../../src/core/store/documents.ts";
import type { Write } from "../../../src/core/store/ports.ts";
import { everybody } from "../../../src/local/demo/everybody.ts";
import type { Stage } from "../../support/sync-stage.ts";
import { caller } from "../views-stage.ts";
import { end, group, guid, join, leave, openScene, people, range, type Scene, set, withStage } from "./trap-scene.ts";

let stage: Stage;
withStage(43, (started) => {
  stage = started;
});

const from = (...groups: number[]): Settings["people"] => ({
  ...everybody.people,
  from: "groups",
  groups: groups.map(guid),
});
const peopleOnly: Settings["groups"] = { ...everybody.groups, include: false };
const standingFor = (number: number): Settings["groups"] => ({
  ...everybody.groups,
  mapping: [{ group: guid(number), productGroup: "p1" }],
});

const stateOf = async (s: Scene, number: number): Promise<string | null> => {
  const id = ids.person(s.personId(number));
  return (await stage.store.read(s.connectionId, "person", id))?.state ?? null;
};
const isShown = async (s: Scene, number: number): Promise<boolean> =>
  (await stage.store.read(s.connectionId, "group", ids.group(guid(number)))) !== null;

/** Calls `act` once, after the first commit that `when` is true of. */
const onceAfter = (when: (writes: readonly Write[]) => boolean, act: () => Promise<unknown>): void => {
  const { store } = stage.needs;
  let done = false;
  stage.needs = {
    ...stage.needs,
    store: new Proxy(store, {
      get: (target, name) =>
        name === "write"
          ? async (...args: Parameters<typeof store.write>) => {
              const now = !done && when(args[1] as readonly Write[]);
              if (now) done = true;
              const result = await target.write(...args);
              if (now) await act();
              return result;
            }
          : Reflect.get(target, name),
    }),
  };
};

const isApplying = (writes: readonly Write[]): boolean =>
  writes.some((write) => write.op === "replace" && write.doc.kind === "head" && write.doc.run?.phase === "applying");
/** What a cancellation does to a run under way. */
const voided = async (s: Scene): Promise<void> => {
  await commit({ ambient: stage.ambient, store: stage.store }, await s.head(), {
    advance: (head) => ({ ...head, epoch: head.epoch + 1 }),
  });
};

describe("a nested group", () => {
  it("is let go by a full read that finds it gone from a group that is never shown", async () => {
    const s = await openScene(stage, { before: [...people(3), group(530, [3]), group(510, [1, 530])] });
    await s.lay({ settings: { people: from(510), groups: peopleOnly } });
    await s.sync("full");
    expect(await stateOf(s, 3)).toBe("active");
    s.change(leave(510, 530));
    await s.sync("full");
    expect([await stateOf(s, 1), await stateOf(s, 3)]).toEqual(["active", "deactivated"]);
    expect((await s.held()).filters).toEqual([guid(510)]);
  });

  it("is not shown for the sake of an edge that turns out to be gone", async () => {
    const s = await openScene(stage, {
      before: [...people(3), group(530, [3]), group(520, [2, 530]), group(510, [1, 520])],
    });
    await s.lay({ settings: { people: from(510), groups: standingFor(530) } });
    await s.sync("full");
    expect(await isShown(s, 530)).toBe(false);
    s.change(leave(520, 530));
    await s.lay({ settings: { groups: everybody.groups } });
    await s.sync();
    expect([await isShown(s, 520), await isShown(s, 530), await stateOf(s, 3)]).toEqual([true, false, "deactivated"]);
    expect((await s.held()).filters).toEqual([]);
  });
});

describe("a group that stood for one of the product", () => {
  it("is shown when it does so no longer, though the feed tells of it first and then of the selected one it lies in", async () => {
    const before = [...people(3), group(530, [3]), group(510, [1, 530]), group(540, [2, 530])];
    const s = await openScene(stage, { before });
    await s.lay({ settings: { people: from(510), groups: standingFor(530) } });
    await s.sync("full");
    expect(await isShown(s, 530)).toBe(false);
    await s.lay({ settings: { people: from(540), groups: everybody.groups } });
    const order = [530, 540].map(guid);
    s.alter = (feed, objects) =>
      feed === "users" ? objects : objects.toSorted((a, b) => order.indexOf(a.id) - order.indexOf(b.id));
    await s.sync();
    expect([await isShown(s, 530), await stateOf(s, 3), await stateOf(s, 1)]).toEqual([true, "active", "deactivated"]);
    expect((await s.held()).filters).toEqual([]);
  });
});

describe("a run that is void when half of it is applied", () => {
  const crowd = range(1, 130);

  it("leaves nobody in the scope whose membership it had ended already", async () => {
    const s = await openScene(stage, { before: [...people(130), group(510, crowd)] });
    await s.lay({ settings: { people: from(510) } });
    await s.sync("full");
    s.change(...range(1, 125).map((number) => leave(510, number)));
    onceAfter(isApplying, () => voided(s));
    await s.sync();
    const states = async () => Promise.all(crowd.map((number) => stateOf(s, number)));
    const active = (await states()).filter((state) => state === "active").length;
    expect(active, "people who are left half-way").toBeGreaterThan(5);
    expect(active).toBeLessThan(130);
    await s.sync();
    expect(await states()).toEqual(crowd.map((number) => (number <= 125 ? "deactivated" : "active")));
  });

  it("leaves no group held that had been nested until then", async () => {
    const before = [...people(130), ...range(600, 100).map((each) => group(each, [each - 599])), group(510, [130])];
    const s = await openScene(stage, { before: [...before, ...range(600, 100).map((each) => join(510, each))] });
    await s.lay({
      settings: { groups: { ...standingFor(510), kinds: { ...everybody.groups.kinds, security: false } } },
    });
    await s.sync("full");
    expect((await s.held()).filters).toHaveLength(101);
    s.change(...range(600, 100).map((each) => leave(510, each)));
    onceAfter(isApplying, () => voided(s));
    await s.sync();
    await s.sync();
    expect((await s.held()).filters).toEqual([guid(510)]);
  });

  it("has those whom it let go removed when their time has come", async () => {
    const s = await openScene(stage, { before: people(130) });
    await s.lay({ settings: { leaving: { rule: "remove", afterDays: 30 } } });
    await s.sync("full");
    s.change(...crowd.map((number) => end("delete", number)));
    onceAfter(isApplying, () => voided(s));
    await s.sync();
    expect((await s.head()).counters.people).toBeLessThan(130);
    stage.ambient.advance(31 * 86_400_000);
    await stage.settleOnce(s.connectionId);
    const states = await Promise.all(crowd.map((number) => stateOf(s, number)));
    expect(new Set(states)).toEqual(new Set(["active", "removed"]));
  });
});

/** By an administrator, while the source and the store of the stage are as they were. */
const switching = (s: Scene) => {
  const { ambient, store, search } = stage;
  const { hints, source } = stage.needs;
  const needs = { ambient, store, search, hints, source, keys: { ring: async () => s.context.ring } };
  return (...request: [string, string, { enabled: boolean; ref?: string }]) =>
    switchPerson(needs)(caller("integration:sync"), ...request);
};

describe("somebody who is switched on", () => {
  it("while a run is about to let everybody go who is not, stays", async () => {
    const s = await openScene(stage, { before: people(3) });
    await s.sync("full");
    await s.lay({ settings: { people: { ...everybody.people, oneByOne: true } } });
    const ref = sealRef(stage.ambient, s.context, guid(1));
    const switchOn = switching(s);
    let weighed = false;
    let switched = false;
    stage.needs = {
      ...stage.needs,
      store: new Proxy(stage.needs.store, {
        get: (target, name) =>
          name === "load"
            ? async (...args: Parameters<typeof target.load>) => {
                if (args[1] === "person" && weighed && !switched) {
                  switched = true;
                  await switchOn(s.connectionId, s.personId(1), { enabled: true, ref });
                }
                return target.load(...args);
              }
            : name === "listIds"
              ? async (...args: Parameters<typeof target.listIds>) => {
                  if (args[1] === "person") weighed = true;
                  return target.listIds(...args);
                }
              : Reflect.get(target, name),
      }),
    };
    await s.sync();
    expect(switched).toBe(true);
    expect([await stateOf(s, 1), await stateOf(s, 2)]).toEqual(["active", "deactivated"]);
  });

  it("in the very moment in which a run lets everybody go, stays", async () => {
    const s = await openScene(stage, { before: people(3) });
    await s.sync("full");
    await s.lay({ settings: { people: { ...everybody.people, oneByOne: true } } });
    const { needs } = stage;
    let switched = false;
    const write: typeof needs.store.write = async (connectionId, writes) => {
      const lets = writes.some((each) => each.op === "replace" && each.doc.id === ids.person(s.personId(1)));
      if (lets && !switched) {
        switched = true;
        await switching(s)(s.connectionId, s.personId(1), { enabled: true });
      }
      return needs.store.write(connectionId, writes);
    };
    stage.needs = { ...needs, store: { ...needs.store, write } };
    await s.sync();
    expect(switched).toBe(true);
    expect([await stateOf(s, 1), await stateOf(s, 2)]).toEqual(["active", "deactivated"]);
  });

  it("in a selection of which half is stored is asked for, not looked up", async () => {
    const s = await openScene(stage, { before: [...people(3), group(510, [1, 2])] });
    await s.lay({ settings: { people: from(510) } });
    await s.sync("full");
    s.change(leave(510, 1));
    const context = { ...s.context, settings: (await s.connection()).settings };
    const isMember = async (): Promise<boolean | undefined> => {
      const asked = [{ id: s.personId(1), oid: guid(1) }];
      return (await standingOf(stage)(context, asked)).get(s.personId(1))?.isMember;
    };
    expect(await isMember()).toBe(true);
    await s.lay({ head: { suspect: true } });
    expect(await isMember()).toBe(false);
  });
});

describe("a joiner whom nobody can find", () => {
  it("holds up no round, however short its slices are", async () => {
    const s = await openScene(stage, { before: [...people(3), group(510, [1])] });
    await s.lay({ settings: { people: from(510) } });
    await s.sync("full");
    s.change(set(510, { description: "Another" }), join(510, 2));
    s.alter = (feed, objects) =>
      feed === "users"
        ? objects
        : objects.map((object) => ({
            ...object,
            members: [...(object.members ?? []), { type: "user", id: guid(400), removed: false }],
          }));
    stage.needs = { ...stage.needs, sliceMilliseconds: 0 };
    await s.sync();
    expect((await s.head()).run).toBeNull();
    expect([await stateOf(s, 2), await stateOf(s, 400)]).toEqual(["active", null]);
  });
});

describe("somebody who left long ago and was kept", () => {
  it("is removed when that is the rule, counted from the day of leaving", async () => {
    const s = await openScene(stage, { before: people(3) });
    await s.lay({ settings: { leaving: { rule: "keep", afterDays: 30 } } });
    await s.sync("full");
    s.change(end("delete", 1));
    await s.sync();
    stage.ambient.advance(40 * 86_400_000);
    const now = stage.ambient.now();
    await s.lay({ settings: { leaving: { rule: "remove", afterDays: 30 } }, head: { retireAt: now } });
    await s.sync();
    expect(await stateOf(s, 1)).toBe("deactivated");
    await stage.settleOnce(s.connectionId);
    expect([await stateOf(s, 1), await stateOf(s, 2)]).toEqual(["removed", "active"]);
  });

  it("is removed by the day of leaving, too, when somebody switches him off", async () => {
    const s = await openScene(stage, { before: people(3) });
    await s.lay({ settings: { leaving: { rule: "keep", afterDays: 30 } } });
    await s.sync("full");
    s.change(end("delete", 1));
    await s.sync();
    stage.ambient.advance(20 * 86_400_000);
    await s.lay({ settings: { leaving: { rule: "remove", afterDays: 30 } }, head: { retireAt: null } });
    await switching(s)(s.connectionId, s.personId(1), { enabled: false });
    expect((await s.head()).retireAt).toBeLessThanOrEqual(stage.ambient.now() + 10 * 86_400_000);
  });
});
