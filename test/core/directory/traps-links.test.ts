/** Traps in the links that Graph hands out: dead ones in every disguise, ones that never end, ones that lead elsewhere. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { open, seal } from "../../../src/core/crypto/seal.ts";
import type { Links } from "../../../src/core/directory/run/cursor.ts";
import { cursorPlace, linksPlace } from "../../../src/core/directory/run/round.ts";
import type { Fault } from "../../../src/local/simulator/graph/faults.ts";
import { type ScriptedServer, startScripted } from "../../adapters/graph-scripted-server.ts";
import type { Stage } from "../../support/sync-stage.ts";
import {
  end,
  group,
  join,
  leave,
  openScene,
  person,
  range,
  type Scene,
  type Synced,
  set,
  without,
  withStage,
} from "./trap-scene.ts";

let stage: Stage;
let attacker: ScriptedServer;
withStage(8, (started) => {
  stage = started;
});
beforeAll(async () => {
  attacker = await startScripted();
});
beforeEach(() => {
  attacker.seen = [];
});
afterAll(() => attacker.close());

const before = [...range(1, 12).map((n) => person(n)), ...range(500, 6).map((n) => group(n, [1, 2, n - 497]))];
/** Links of the requests to a feed, in order. */
const asked = ({ requests }: Synced, feed: string): string[] =>
  requests.filter(({ path }) => path === `/${feed}/delta` || path === "unknown").map(({ link }) => link);

const disguises: [string, Fault["trouble"]][] = [
  ["410 with a Location", { kind: "gone" }],
  ["410 with a code nobody knows", { kind: "status", status: 410, code: "UnknownError" }],
  ["400 syncStateNotFound", { kind: "sync-state-not-found", code: "syncStateNotFound", status: 400 }],
  ["410 SyncStateNotFound", { kind: "sync-state-not-found", code: "SyncStateNotFound", status: 410 }],
  ["404 SYNCSTATENOTFOUND", { kind: "sync-state-not-found", code: "SYNCSTATENOTFOUND", status: 404 }],
  ["400 resyncRequired", { kind: "resync-required" }],
  ["400 with resyncRequired inside", { kind: "resync-required", nested: true }],
  ["400 Request_UnsupportedQuery", { kind: "delta-link-too-old" }],
  ["400 Directory_ExpiredPageToken", { kind: "page-token-expired" }],
  ["400 for a token it does not know", { kind: "token-unknown" }],
];

const evil = () => attacker.url;
/** Of the last round. */
const linksOf = async (s: Scene): Promise<Links> => {
  const { links } = await s.head();
  if (!links) throw new Error("no round has ended");
  return open(s.context.ring.sealing, linksPlace(s.connectionId), links);
};
/** What the run remembers, opened. */
const remembered = async (s: Scene): Promise<string> => {
  const { run, links } = await s.head();
  const { sealing } = s.context.ring;
  const cursor = run ? open(sealing, cursorPlace(s.connectionId, run.id), run.cursor) : null;
  return JSON.stringify([cursor, links ? open(sealing, linksPlace(s.connectionId), links) : null]);
};

describe("a dead delta link", () => {
  for (const feed of ["groups", "users"])
    for (const [disguise, trouble] of disguises)
      it(`of ${feed}, told as ${disguise}, means a full read that removes only who is proven gone`, async () => {
        const s = await openScene(stage, { before });
        await s.sync("full");
        s.change(end("delete", 1), set(3, { city: "Kiel" }), join(500, 4), leave(501, 2));
        s.alter = without(1, 2, 505);
        s.fault({ trouble, link: "delta", path: `^/${feed}/delta` });
        const second = await s.sync();
        expect(second.requests[feed === "groups" ? 0 : 1]).toMatchObject({ link: "delta", trouble: trouble.kind });
        expect(asked(second, feed)).toEqual(["delta", "none"]);
        expect(second.run).toMatchObject({ mode: "full", counts: { peopleDeactivated: 1, groupsRemoved: 0 } });
        await s.agrees();
        s.alter = null;
        expect((await s.sync()).requests.map(({ link }) => link)).toEqual(["delta", "delta"]);
      });

  it("that answers 404 or 504 whenever it is asked is given up for a full read in the end", async () => {
    for (const status of [404, 504]) {
      const s = await openScene(stage, { before, label: String(status) });
      await s.sync("full");
      s.change(set(3, { city: "Kiel" }), end("delete", 4));
      s.fault({ trouble: { kind: "status", status }, link: "delta", path: "^/users/delta", times: 10_000 });
      const outcomes: unknown[] = [];
      for (let run = 1; run <= 4; run++) {
        const { run: doc } = await s.sync();
        outcomes.push([doc?.mode, doc?.outcome, doc?.counts.peopleDeactivated]);
      }
      expect(outcomes).toEqual([...range(1, 3).map(() => ["delta", "failed", 0]), ["full", "done", 1]]);
      stage.simulator.commands.faults.run({ clear: true });
      await s.agrees();
    }
  });
});

describe("a dead next link", () => {
  for (const [disguise, trouble] of disguises)
    it(`told as ${disguise} starts the round again: from the last links, and in full when that fails too`, async () => {
      const s = await openScene(stage, { before, traits: { pageSize: 3 } });
      await s.sync("full");
      s.change(...range(1, 9).map((n) => set(n, { city: "Kiel" })), end("delete", 10), join(500, 4));
      s.fault({ trouble, link: "next", path: "^/users/delta" });
      const second = await s.sync();
      expect(asked(second, "users").filter((link) => link === "delta")).toHaveLength(2);
      expect(second.run).toMatchObject({ mode: "delta", counts: { peopleUpdated: 9, peopleDeactivated: 1 } });
      await s.agrees();

      s.change(...range(1, 9).map((n) => set(n, { city: "Bonn" })), end("delete", 11));
      s.alter = without(1, 11);
      s.fault({ trouble, link: "next", path: "^/users/delta", times: 2 });
      const third = await s.sync();
      expect(asked(third, "users").filter((link) => link !== "next")).toEqual(["delta", "delta", "none"]);
      expect(third.run).toMatchObject({ mode: "full", counts: { peopleUpdated: 8, peopleDeactivated: 1 } });
      expect((await s.stored(1))?.state).toBe("active");
      s.alter = null;
      await s.sync("full");
      await s.agrees();
    });

  it("that fails for a while with 404 is asked again, from where the round was", async () => {
    const s = await openScene(stage, { before, traits: { pageSize: 3 } });
    s.fault({ trouble: { kind: "status", status: 404 }, link: "next", path: "^/users/delta", after: 1, times: 3 });
    const first = await s.sync("full");
    expect(asked(first, "users").filter((link) => link === "none")).toHaveLength(1);
    await s.agrees();
  });

  it("again and again fails the run, with a longer wait each time, and changes nothing", async () => {
    const s = await openScene(stage, { before, traits: { pageSize: 3 } });
    await s.sync("full");
    s.change(...range(1, 9).map((n) => set(n, { city: "Kiel" })));
    await s.lay({ settings: { automatic: true }, head: { dueAt: stage.ambient.now(), wakeAt: stage.ambient.now() } });
    const mark = stage.simulator.graph.log.mark();
    s.fault({ trouble: { kind: "page-token-expired" }, path: "^/users/delta", times: 10_000 });
    for (const [failures, longest] of [30, 60, 120].entries()) {
      expect(await s.nextStep()).toBe("retries");
      const head = await s.head();
      expect(head).toMatchObject({ failures: failures + 1, run: null, owner: null });
      const seconds = ((head.wakeAt ?? 0) - stage.ambient.now()) / 1000;
      expect([seconds <= longest, seconds > longest / 2]).toEqual([true, true]);
    }
    expect(stage.simulator.graph.log.since(mark).length).toBeLessThan(60);
    const { sequence } = await s.head();
    expect((await s.entriesSince(0)).filter(({ evidence }) => evidence === "graph-unavailable")).toHaveLength(3);
    stage.simulator.commands.faults.run({ clear: true });
    expect(await s.nextStep()).toBe("done");
    expect((await s.entriesSince(sequence)).filter(({ kind }) => kind === "person")).toHaveLength(9);
    expect((await s.head()).failures).toBe(0);
  });
});

describe("links made with another list of properties", () => {
  it("are not used: everything is read again", async () => {
    const s = await openScene(stage, { before });
    await s.sync("full");
    s.change(end("delete", 1));
    s.alter = without(1, 2);
    const another = { groups: "another list", users: "one more" };
    stage.needs = { ...stage.needs, source: { ...stage.needs.source, selection: () => another } };
    const second = await s.sync();
    expect(second.requests.filter(({ inBatch }) => !inBatch).map(({ link }) => link)).toEqual(["none", "none", "none"]);
    expect(second.run).toMatchObject({ mode: "full", counts: { peopleDeactivated: 1 } });
    expect((await linksOf(s)).basis.selection).toEqual(another);
    expect((await s.sync()).requests.map(({ link }) => link)).toEqual(["delta", "delta"]);
    await s.agrees();
  });
});

describe("a feed whose pages repeat behind links that always look new", () => {
  for (const loop of ["users", "groups"] as const)
    for (const when of ["in a first sync", "in a delta"])
      it(`(${loop}, ${when}) ends the run as failed, and nothing of it is applied`, async () => {
        const s = await openScene(stage, { before, traits: { pageSize: 5 } });
        if (when === "in a delta") await s.sync("full");
        const empty = await s.held();
        s.change(...range(1, 9).map((n) => set(n, { city: "Kiel" })), set(500, { description: "new" }));
        s.traits({ loop });
        const looped = await s.sync();
        expect(looped.run).toMatchObject({ outcome: "failed", failure: "graph-unavailable" });
        expect(looped.requests.length).toBeLessThan(60);
        expect(await s.held()).toEqual(empty);
        s.traits({ loop: null });
        await s.sync();
        await s.agrees();
      });
});

describe("a link to another host", () => {
  for (const name of ["nextLink", "deltaLink"] as const)
    it(`as ${name} is refused before any request, and nothing of it is stored`, async () => {
      const s = await openScene(stage, { before, traits: { pageSize: 4 } });
      s.alter = (feed, objects) => {
        if (feed === "users") s.traits({ foreignOrigin: { [name]: evil() } });
        return objects;
      };
      await s.ask("full");
      expect(await s.step()).toBe("retries");
      const { host } = new URL(evil());
      expect(await remembered(s)).toContain("skiptoken");
      expect(await remembered(s)).not.toContain(host);
      await stage.settle(s.connectionId);
      const [failed] = await stage.store.list(s.connectionId, "run", { limit: 1 });
      expect(failed).toMatchObject({ outcome: "failed", failure: "graph-foreign-link" });
      expect([(await s.head()).links, await s.held()]).toEqual([null, { people: {}, groups: {}, filters: [] }]);
      expect(attacker.seen).toEqual([]);
      s.alter = null;
      s.traits({ foreignOrigin: {} });
      await s.sync("full");
      await s.agrees();
    });

  it("in a list of members is refused before any request", async () => {
    const s = await openScene(stage, { before, traits: { contradictions: 1 } });
    await s.sync("full");
    s.change(leave(500, 1), join(500, 1), join(500, 5));
    s.alter = (feed, objects) => {
      if (feed === "groups") s.traits({ emptyPages: 0.9, foreignOrigin: { nextLink: evil() } });
      return objects;
    };
    const second = await s.sync();
    expect(second.requests.some(({ path }) => path === "/groups/{id}/members")).toBe(true);
    expect(second.run).toMatchObject({ outcome: "failed", failure: "graph-foreign-link" });
    expect([await s.members(500), attacker.seen]).toEqual([[1, 2, 3], []]);
  });

  it("as the Location of a dead link is not followed: the full read is made of our own list", async () => {
    const s = await openScene(stage, { before, traits: { foreignOrigin: { location: evil() } } });
    await s.sync("full");
    s.change(set(1, { city: "Kiel" }));
    s.fault({ trouble: { kind: "gone" } });
    expect((await s.sync()).run).toMatchObject({ mode: "full", counts: { peopleUpdated: 1 } });
    await s.agrees();
    expect(attacker.seen).toEqual([]);
  });

  it("that stands in the store is refused before any request", async () => {
    const s = await openScene(stage, { before });
    await s.sync("full");
    const link = `${evil()}/v1.0/groups/delta?$deltatoken=1`;
    const links: Links = { ...(await linksOf(s)), groups: link, users: link };
    await s.lay({ head: { links: seal(stage.ambient, s.context.ring.sealing, linksPlace(s.connectionId), links) } });
    const second = await s.sync();
    expect(second.run).toMatchObject({ outcome: "failed", failure: "graph-foreign-link" });
    expect([second.requests, attacker.seen]).toEqual([[], []]);
  });
});
