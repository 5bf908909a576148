/** People who sign in before a sync has brought them: added by the rules of a run, with their record, or not at all. */
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Settings } from "../../../src/core/connections/settings.ts";
import { switchPerson } from "../../../src/core/directory/switch-person.ts";
import { AppError } from "../../../src/core/errors.ts";
import { admission } from "../../../src/core/sso/admission.ts";
import type { SsoClient } from "../../../src/core/sso/clients.ts";
import { type Candidate, type NewcomerNeeds, withoutNewcomer } from "../../../src/core/sso/newcomer.ts";
import type { SignedInPerson } from "../../../src/core/sso/ports.ts";
import { usableConnection } from "../../../src/core/sso/usable.ts";
import { type ConnectionDoc, ids, type Stored } from "../../../src/core/store/documents.ts";
import { readLog } from "../../support/held.ts";
import { chosen, guid, member, openSearchScene, outer, people, type SearchScene, user } from "../search-stage.ts";
import { caller, codeOf } from "../views-stage.ts";

const eve = guid(9);
const client: SsoClient = {
  clientId: "portal",
  redirectUris: ["https://portal.example/"],
  postLogoutRedirectUris: [],
  linksPeople: false,
};
const visitor = { cookie: undefined, ip: "203.0.113.9", correlationId: "sign-in-1" };

let scene: SearchScene;
let needs: NewcomerNeeds;
let told: string[];
beforeEach(async () => {
  scene = await openSearchScene({ ...chosen, signIn: { createPeople: true } });
  told = [];
  needs = {
    ...scene.needs,
    store: scene.stage.store,
    source: scene.stage.needs.source,
    hintChange: async (connectionId) => void told.push(connectionId),
  };
  scene.mutate(user(eve, "Eve Newcomer", { jobTitle: "Pilot" }), member(outer, eve));
  await change((doc) => ({ tiers: { ...doc.tiers, signIn: doc.tiers.read } }));
});
afterEach(() => scene.stage.close());

const connection = async (): Promise<Stored<ConnectionDoc>> =>
  (await scene.stage.store.read(scene.connectionId, "connection", ids.connection))!;
const change = async (to: (doc: ConnectionDoc) => Partial<ConnectionDoc>): Promise<void> => {
  const doc = await connection();
  await scene.stage.handles.directory.items.upsert({ ...doc, ...to(doc) });
};
const head = async () => (await scene.stage.store.read(scene.connectionId, "head", ids.head))!;
const stored = (oid: string) => scene.stage.store.read(scene.connectionId, "person", ids.person(scene.id(oid)));
const logged = async (oid: string) =>
  (await readLog(scene.stage.store, scene.connectionId))
    .flatMap((doc) => JSON.parse(doc.body) as { kind: string; op: string; object: string; cause: string }[])
    .filter(({ object }) => object === scene.id(oid));
const account = (oid: string): SignedInPerson => ({
  tid: scene.tid,
  oid,
  name: "",
  preferredUsername: "",
  email: null,
  emailVerified: false,
  isGuest: false,
  authTime: null,
});

const arrived = async (oid: string): Promise<Candidate> => {
  const usable = await usableConnection(needs)(client, scene.connectionId);
  if (!usable) throw new Error("nobody can sign in");
  return { usable, verdict: await admission(needs)(usable, account(oid)) };
};
const go = async (candidate: Candidate, oid: string) =>
  (await withoutNewcomer(needs)(client, candidate, account(oid), visitor)).verdict;
const signIn = async (oid: string) => go(await arrived(oid), oid);

test("somebody whom the settings admit is there when he is let in, as a run would have brought him, and on record", async () => {
  expect(await signIn(eve)).toMatchObject({ person: scene.id(eve), synchronised: true, refusal: null, newcomer: null });
  expect(await stored(eve)).toMatchObject({ state: "active" });
  expect((await head()).counters.people).toBe(3);
  expect(told).toEqual([scene.connectionId]);
  const entries = await logged(eve);
  expect(entries).toMatchObject([{ kind: "person", op: "created", cause: "sign-in", correlationId: "sign-in-1" }]);
  const held = await scene.held();
  await scene.stage.sync(scene.connectionId);
  expect(await logged(eve)).toEqual(entries);
  // Not the first name alone: three letters in a row come by chance, where so much is sealed.
  expect(held).not.toMatch(/Eve Newcomer|\bPilot\b/);
  await signIn(eve);
  expect(await logged(eve)).toHaveLength(1);
});

test("somebody who had left and is admitted again is the same person again", async () => {
  scene.mutate({ op: "remove-member", groupId: outer, memberId: people.nora });
  await scene.stage.sync(scene.connectionId);
  expect(await stored(people.nora)).toMatchObject({ state: "deactivated" });
  scene.mutate(member(outer, people.nora));
  expect(await signIn(people.nora)).toMatchObject({ synchronised: true, refusal: null });
  expect((await logged(people.nora)).map(({ op }) => op)).toEqual(["created", "deactivated", "revived"]);
});

describe("nobody is added", () => {
  const settings = (more: Partial<Settings>) => () => scene.chooseNow(more);
  const scope = (more: Partial<Settings["people"]>) => settings({ people: { ...chosen.people!, ...more } });
  test.each<[string, string, () => Promise<void>, string]>([
    ["unless the settings say so", eve, settings({ signIn: { createPeople: false } }), "sign-in-not-synchronised"],
    ["while the sync is paused", eve, settings({ paused: true }), "sign-in-not-synchronised"],
    [
      "before the setup was finished",
      eve,
      () => change(({ wizard }) => ({ wizard: { ...wizard, finishedAt: null } })),
      "sign-in-not-synchronised",
    ],
    ["who is in none of the groups", people.olaf, async () => {}, "sign-in-not-in-scope"],
    ["who is a guest where guests are not meant", people.gil, async () => {}, "sign-in-not-in-scope"],
    ["who was not switched on where that is asked", eve, scope({ oneByOne: true }), "sign-in-not-in-scope"],
    ["who was switched off by hand", eve, () => scene.mark(eve, "excluded"), "sign-in-not-in-scope"],
    ["who was erased", eve, () => scene.mark(eve, "erased"), "sign-in-not-in-scope"],
    [
      "whose account is switched off, where the settings synchronise such accounts",
      people.dora,
      scope({ kinds: { ...chosen.people!.kinds, disabled: true } }),
      "sign-in-account-disabled",
    ],
    ["whom Graph does not know", guid(0xdead), async () => {}, "sign-in-not-synchronised"],
  ])("%s", async (_, oid, prepare, refusal) => {
    await prepare();
    const before = await scene.held();
    expect(await signIn(oid)).toMatchObject({ refusal, newcomer: null });
    expect(await scene.held()).toBe(before);
    expect(told).toEqual([]);
  });

  test("when Graph fails: that is said, and nothing is stored", async () => {
    const before = await scene.held();
    const failing = (read: NewcomerNeeds["source"]["people"]) => {
      needs = { ...needs, source: { people: read } };
    };
    failing(async () => new Map());
    expect(await codeOf(signIn(eve))).toBe("graph-unavailable");
    failing(() => Promise.reject(new AppError("graph-throttled")));
    expect(await codeOf(signIn(eve))).toBe("graph-throttled");
    expect(await scene.held()).toBe(before);
  });

  test("when the connection is as full as it may be", async () => {
    const size = { documents: 18e9, log: 0, at: scene.stage.ambient.now() };
    await scene.stage.handles.directory.items.upsert({ ...(await head()), size });
    expect(await codeOf(signIn(eve))).toBe("store-full");
    expect(await stored(eve)).toBeNull();
  });
});

describe("what changes while somebody is about to be added", () => {
  test("settings, from the moment they are stored", async () => {
    const candidate = await arrived(eve);
    expect(candidate.verdict.newcomer).not.toBeNull();
    await scene.chooseNow({ signIn: { createPeople: false } });
    await scene.stage.handles.directory.items.upsert({ ...(await head()), epoch: (await head()).epoch + 1 });
    expect(await go(candidate, eve)).toMatchObject({ refusal: "sign-in-not-synchronised" });
    expect(await stored(eve)).toBeNull();
  });

  test("settings that were stored between the connection and its head", async () => {
    const usable = await usableConnection(needs)(client, scene.connectionId);
    await scene.chooseNow({ paused: true });
    expect(await codeOf(admission(needs)(usable!, account(eve)))).toBe("changed-meanwhile");
  });

  test("the person, switched off by hand", async () => {
    const candidate = await arrived(eve);
    const off = switchPerson({ ...needs, hints: scene.stage.needs.hints });
    await off(caller("integration:sync"), scene.connectionId, scene.id(eve), { enabled: false });
    expect(await go(candidate, eve)).toMatchObject({ refusal: "sign-in-not-in-scope" });
    expect(await stored(eve)).toBeNull();
  });

  test("the person, whose erasure has begun", async () => {
    const candidate = await arrived(eve);
    const erasing = { entry: { object: scene.id(eve) } };
    await scene.stage.handles.directory.items.upsert({ ...(await head()), erasing });
    expect(await codeOf(go(candidate, eve))).toBe("changed-meanwhile");
    expect(await stored(eve)).toBeNull();
  });

  test("the approval of single sign-on", async () => {
    const candidate = await arrived(eve);
    await change(({ tiers }) => ({ tiers: { ...tiers, signIn: tiers.write } }));
    expect(await codeOf(go(candidate, eve))).toBe("sign-in-not-offered");
  });

  test("nothing but that others add the same person: everybody is let in, and one record tells of it", async () => {
    const both = await Promise.all([arrived(eve), arrived(eve)]);
    await scene.stage.sync(scene.connectionId);
    const verdicts = await Promise.all(both.map((candidate) => go(candidate, eve)));
    expect(verdicts).toMatchObject([
      { synchronised: true, refusal: null },
      { synchronised: true, refusal: null },
    ]);
    expect(await logged(eve)).toHaveLength(1);
    expect((await head()).counters.people).toBe(3);
  });
});
