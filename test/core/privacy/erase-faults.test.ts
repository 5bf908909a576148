/** Processes that die inside an erasure, two that meet, and a database that is put back. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { ErasePersonNeeds } from "../../../src/core/privacy/erase-person.ts";
import { turnMilliseconds } from "../../../src/core/privacy/erasure.ts";
import { ledgerName } from "../../../src/core/privacy/ledger.ts";
import { settleErasures } from "../../../src/core/privacy/settle.ts";
import { mortal as mortalNeeds } from "../../support/mortal.ts";
import { codeOf } from "../views-stage.ts";
import { nothing, openPrivacyScene, type PrivacyScene } from "./privacy-stage.ts";

/** More than the calls to the outside that one erasure takes. */
const mostCalls = 40;

let scene: PrivacyScene;
let next = 0;
beforeAll(async () => {
  scene = await openPrivacyScene(mostCalls + 14);
});
afterAll(() => scene.stage.close());

const somebody = () => scene.id(scene.crew[next++] ?? "");

const mortal = (needs: ErasePersonNeeds, calls: number): ErasePersonNeeds =>
  mortalNeeds(needs, calls, ["store", "secrets", "work", "access", "hints"]);

/** Who comes after the process that died; each alone has to be enough. */
const followers = {
  "the same caller": (id: string) => scene.erase(id).then(() => undefined),
  "an instance that loads the keys": () => scene.settle(),
  "the timer": () => scene.stage.settle(scene.connectionId),
};

describe("a process that dies inside an erasure", () => {
  const kinds = Object.keys(followers) as (keyof typeof followers)[];

  for (let calls = 0; calls < mostCalls; calls++) {
    const by = kinds[calls % kinds.length] ?? "the timer";
    test(`after ${calls} calls is followed by ${by}`, async () => {
      const id = somebody();
      const died = await scene.erase(id, mortal(scene.needsOf, calls)).then(
        () => false,
        () => true,
      );
      const begun = (await scene.head()).erasing !== undefined;
      scene.stage.ambient.advance(turnMilliseconds + 1);
      await followers[by](id);
      // Whoever died before anything was begun has done nothing, and only the caller knows what was wanted.
      if (died && !begun && by !== "the same caller" && (await scene.told(id)).at(-1)?.op !== "erased")
        expect(await scene.remains(id)).toMatchObject({ state: "active", marker: null, inLedger: false, erasures: 0 });
      else expect(await scene.remains(id)).toEqual(nothing);
      if (calls === mostCalls - 1) expect(died).toBe(false);
    });
  }
});

test("a turn of the worker that comes before the erasure's has run out does not make anybody forget it", async () => {
  const id = somebody();
  await codeOf(scene.erase(id, mortal(scene.needsOf, 15)).catch(() => undefined));
  const { erasing } = await scene.head();
  await scene.stage.settleOnce(scene.connectionId);
  const { owner, wakeAt } = await scene.head();
  expect([owner, wakeAt]).toEqual([null, erasing?.until]);
  await scene.stage.settle(scene.connectionId);
  expect(await scene.remains(id)).toEqual(nothing);
});

describe("two requests", () => {
  test("for the same person erase it once; one of them may have to come again", async () => {
    const id = somebody();
    const outcomes = await Promise.all([codeOf(scene.erase(id)), codeOf(scene.erase(id))]);
    expect(outcomes).toContain("none");
    expect(outcomes.every((code) => code === "none" || code === "changed-meanwhile")).toBe(true);
    expect(await scene.remains(id)).toEqual(nothing);
  });

  test("for two people both end in the ledger, though the vault keeps the last of two values", async () => {
    const [one, other] = [somebody(), somebody()];
    const outcomes = await Promise.all([codeOf(scene.erase(one)), codeOf(scene.erase(other))]);
    if (outcomes.includes("changed-meanwhile")) await scene.erase(outcomes[0] === "none" ? other : one);
    expect(await scene.remains(one)).toEqual(nothing);
    expect(await scene.remains(other)).toEqual(nothing);
  });

  test("of which one has died: the other finishes both", async () => {
    const [one, other] = [somebody(), somebody()];
    await codeOf(scene.erase(one, mortal(scene.needsOf, 15)).catch(() => undefined));
    expect((await scene.head()).erasing?.entry.object).toBe(one);
    expect(await codeOf(scene.erase(other))).toBe("changed-meanwhile");
    scene.stage.ambient.advance(turnMilliseconds + 1);
    await scene.erase(other);
    expect(await scene.remains(one)).toEqual(nothing);
    expect(await scene.remains(other)).toEqual(nothing);
  });
});

describe("a database that is put back to yesterday", () => {
  test("brings back nobody who was erased since: the ledger is replayed before keys are handed out", async () => {
    const [early, late, latest, other] = [somebody(), somebody(), somebody(), somebody()];
    await scene.erase(early);
    const yesterday = await scene.documents();
    await scene.erase(late);
    await scene.erase(latest);
    await scene.putBack(yesterday);
    const back = await scene.person(late);
    expect(back).toMatchObject({ state: "active" });
    expect(back).toHaveProperty("record", expect.any(String));

    scene.stage.ambient.advance(3_600_000);
    await scene.settle();
    for (const id of [early, late, latest]) expect(await scene.remains(id)).toEqual(nothing);
    expect((await scene.told(late)).at(-1)).toMatchObject({ op: "erased", cause: "restore" });
    expect(await scene.person(other)).toMatchObject({ state: "active" });

    // Of what was put back there may be a backup by now: the dates begin anew, and of whom it was not necessary they stay.
    const receiptsOf = (id: string) =>
      scene.recorded
        .filter(({ objects }) => objects?.includes(id))
        .map(({ receipt }) => Date.parse(receipt?.backups ?? ""));
    expect(receiptsOf(early)).toHaveLength(1);
    const [first = 0, second = 0] = receiptsOf(late);
    expect(second - first).toBeGreaterThanOrEqual(3_600_000);
    expect(scene.recorded.at(-1)).toMatchObject({ what: "person-erased", subject: "system", objects: [latest] });
    const { sequence, commitId } = await scene.head();
    await scene.settle();
    expect(await scene.head()).toMatchObject({ sequence, commitId });
  });

  test("to when somebody was erased who has come back and was erased again since: once is enough", async () => {
    const id = somebody();
    await scene.erase(id);
    const name = ledgerName(scene.connectionId);
    const ledger = JSON.parse(scene.secrets.values.get(name) ?? "") as { erased: [string, number][] };
    const erased = ledger.erased.map(([person, at]) => [person, person === id ? at + 60_000 : at]);
    scene.secrets.values.set(name, JSON.stringify({ ...ledger, erased }));
    const { commitId } = await scene.head();
    await scene.settle();
    expect((await scene.head()).commitId).toBe(commitId);
  });

  test("is not served while it cannot be settled, and is taken up where it was broken off", async () => {
    const [one, other] = [somebody(), somebody()];
    const yesterday = await scene.documents();
    await scene.erase(one);
    await scene.erase(other);
    await scene.putBack(yesterday);
    for (let calls = 0; calls < mostCalls; calls += 5) {
      await settleErasures(mortal(scene.needsOf, calls))(scene.connectionId).catch(() => undefined);
      // Another instance comes in the middle of it: it gets keys only when everybody is gone.
      const code = await codeOf(scene.settle());
      expect(["none", "keys-unavailable"]).toContain(code);
      if (code === "none") break;
      scene.stage.ambient.advance(turnMilliseconds + 1);
    }
    await scene.settle();
    expect(await scene.remains(one)).toEqual(nothing);
    expect(await scene.remains(other)).toEqual(nothing);
  });
});
