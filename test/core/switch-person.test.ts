import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { sealRef } from "../../src/core/directory/ref.ts";
import { switchPerson } from "../../src/core/directory/switch-person.ts";
import { ids } from "../../src/core/store/documents.ts";
import { readLog } from "../support/held.ts";
import { chosen, openSearchScene, people, type SearchScene } from "./search-stage.ts";
import { caller, codeOf } from "./views-stage.ts";

const ada = caller("integration:sync");
const oneByOne = { ...chosen.people!, kinds: { ...chosen.people!.kinds, guests: false }, oneByOne: true };
let scene: SearchScene;
beforeEach(async () => {
  scene = await openSearchScene({ ...chosen, people: oneByOne });
});
afterEach(() => scene.stage.close());

const asked = (oid: string, enabled: boolean, ref = true) =>
  switchPerson({
    ...scene.needs,
    source: scene.stage.needs.source,
    hints: scene.stage.needs.hints,
    ambient: scene.stage.ambient,
  })(ada, scene.connectionId, scene.id(oid), {
    enabled,
    ...(ref ? { ref: sealRef(scene.stage.ambient, scene.context, oid) } : {}),
  });
const person = (oid: string) => scene.stage.store.read(scene.connectionId, "person", ids.person(scene.id(oid)));
const head = async () => (await scene.stage.store.read(scene.connectionId, "head", ids.head))!;
const told = async (oid: string) =>
  (await readLog(scene.stage.store, scene.connectionId)).flatMap((doc) =>
    (JSON.parse(doc.body) as { kind: string; op: string; object: string; groups?: string[]; actor?: string }[]).filter(
      ({ object }) => object === scene.id(oid),
    ),
  );

describe("one person", () => {
  test("comes at once, with the groups he is in, and whoever did it is on record", async () => {
    expect(await person(people.nora)).toBeNull();
    expect(await asked(people.nora, true)).toEqual({
      id: scene.id(people.nora),
      enabled: true,
      synchronised: true,
      rule: "in-groups",
    });
    expect((await person(people.nora))?.state).toBe("active");
    expect((await head()).counters.people).toBe(1);
    const entries = await told(people.nora);
    expect(entries.map(({ op }) => op)).toEqual(["enabled", "created"]);
    expect(entries[1]?.groups).toHaveLength(1);
    expect(entries.every(({ actor }) => actor !== undefined)).toBe(true);
  });

  test("is followed by the rounds after that", async () => {
    await asked(people.nora, true);
    scene.mutate({ op: "update-user", id: people.nora, set: { jobTitle: "Admiral" } });
    await scene.stage.sync(scene.connectionId);
    expect((await told(people.nora)).map(({ op }) => op)).toEqual(["enabled", "created", "updated"]);
  });

  test("leaves at once when he is switched off, also when a run is under way, and comes back as the same person", async () => {
    await asked(people.nora, true);
    const { epoch } = await head();
    expect(await asked(people.nora, false, false)).toMatchObject({ synchronised: false, rule: "excluded" });
    expect(await person(people.nora)).toMatchObject({ state: "deactivated", reason: "scope: excluded" });
    expect((await head()).epoch).toBe(epoch + 1);
    expect((await head()).counters.people).toBe(0);
    scene.mutate({ op: "update-user", id: people.nora, set: { jobTitle: "Admiral" } });
    await scene.stage.sync(scene.connectionId);
    expect((await person(people.nora))?.state).toBe("deactivated");
    // His record still names the account: no reference is needed.
    expect(await asked(people.nora, true, false)).toMatchObject({ synchronised: true });
    expect((await told(people.nora)).map(({ op }) => op)).toEqual([
      "enabled",
      "created",
      "excluded",
      "deactivated",
      "enabled",
      "revived",
    ]);
  });

  test("is refused by the other rules of the settings, and comes when these let him", async () => {
    expect(await asked(people.gil, true)).toMatchObject({ enabled: true, synchronised: false, rule: "guest" });
    expect(await asked(people.olaf, true)).toMatchObject({ synchronised: false, rule: "not-in-groups" });
    expect(await person(people.gil)).toBeNull();
    scene.mutate({ op: "update-user", id: people.gil, set: { userType: "Member" } });
    await scene.stage.sync(scene.connectionId);
    expect((await person(people.gil))?.state).toBe("active");
  });

  test("is switched only once: the same again changes nothing", async () => {
    await asked(people.nora, true);
    const { sequence, commitId } = await head();
    await asked(people.nora, true);
    expect(await head()).toMatchObject({ sequence, commitId });
  });

  test("has to be named by a reference of this connection to this person", async () => {
    expect(await codeOf(asked(people.nora, true, false))).toBe("person-not-found");
    const foreign = sealRef(scene.stage.ambient, scene.context, people.olaf);
    const needs = { ...scene.needs, source: scene.stage.needs.source, hints: scene.stage.needs.hints };
    const call = (id: string, ref: string) =>
      switchPerson({ ...needs, ambient: scene.stage.ambient })(ada, scene.connectionId, id, { enabled: true, ref });
    expect(await codeOf(call(scene.id(people.nora), foreign))).toBe("invalid-ref");
    expect(await codeOf(call("../head", foreign))).toBe("person-not-found");
    expect(await codeOf(call(scene.id(people.nora), `${foreign}x`))).toBe("invalid-ref");
    expect(await person(people.nora)).toBeNull();
  });

  test("is not there for another workspace, and does not move while the connection is paused", async () => {
    const needs = { ...scene.needs, source: scene.stage.needs.source, hints: scene.stage.needs.hints };
    const stranger = { ...ada, workspaceId: "w2" };
    const ref = sealRef(scene.stage.ambient, scene.context, people.nora);
    const call = switchPerson({ ...needs, ambient: scene.stage.ambient });
    const input = { enabled: true, ref };
    expect(await codeOf(call(stranger, scene.connectionId, scene.id(people.nora), input))).toBe("connection-not-found");
    await scene.chooseNow({ paused: true });
    expect(await codeOf(call(ada, scene.connectionId, scene.id(people.nora), input))).toBe("state-conflict");
    expect(await person(people.nora)).toBeNull();
  });

  test("whom Graph no longer knows is not found", async () => {
    scene.mutate({ op: "delete-user", id: people.nora });
    expect(await codeOf(asked(people.nora, true))).toBe("person-not-found");
  });
});
