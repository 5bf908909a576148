/** The platform key is replaced while everything that it has sealed goes on opening, and an old one goes when nothing needs it. */
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { accessStore } from "../../../src/adapters/cosmos/access-store.ts";
import { makeAccessLog } from "../../../src/core/audit/access-log.ts";
import { keyCacheMilliseconds, makeKeys } from "../../../src/core/crypto/keys.ts";
import { leadMilliseconds, readGenerations } from "../../../src/core/crypto/platform-secrets.ts";
import { sealedUnder } from "../../../src/core/crypto/seal.ts";
import { type CareNeeds, careForKeys } from "../../../src/core/keys/care.ts";
import {
  careForPlatformKey,
  keptMilliseconds,
  type PlatformRotationNeeds,
} from "../../../src/core/keys/platform-rotation.ts";
import { ids } from "../../../src/core/store/documents.ts";
import { sealedCursors } from "../../../src/functions/edge/cursor.ts";
import { mortal } from "../../support/mortal.ts";
import { caller, codeOf, openStage, type Stage } from "../connections-stage.ts";

const day = 86_400_000;
const year = 365 * day;

let stage: Stage;
beforeEach(async () => {
  stage = await openStage();
  await stage.needs.keys.platform();
});
afterEach(() => stage.close());

const instance = (over: Partial<CareNeeds> = {}): CareNeeds => {
  const { ambient, store, handshakes } = stage.needs;
  const needs = { ambient, store, handshakes, secrets: stage.secrets, ...over };
  return { rotationMilliseconds: year, sliceMilliseconds: 60_000, ...needs, keys: makeKeys(needs) };
};
const keysOf = () => makeKeys({ ...stage.needs, secrets: stage.secrets });
const care = (period = year, needs: PlatformRotationNeeds = instance()) => careForPlatformKey(needs)(period);
const names = () => [...stage.secrets.values.keys()].filter((name) => name.startsWith("platform-k")).toSorted();
/** Whoever changes generations has a minute for it. */
const later = (milliseconds = 120_000) => stage.ambient.advance(milliseconds);

describe("a new generation", () => {
  test("is made when the newest is old enough, and seals when every instance knows it", async () => {
    expect(await care()).toEqual({ made: null, deleted: [] });
    later(year - day);
    expect(await care()).toEqual({ made: null, deleted: [] });
    later(day);
    const knowsOne = keysOf();
    await knowsOne.platform();
    expect(await care()).toEqual({ made: 2, deleted: [] });
    expect(names()).toEqual(["platform-k1", "platform-k2"]);
    expect((await keysOf().platform()).current).toBe(1);

    later(leadMilliseconds);
    const sealsWithTwo = keysOf();
    expect((await sealsWithTwo.platform()).current).toBe(2);
    // Everybody who remembers keys at this moment has loaded them since the new one was made.
    later(keyCacheMilliseconds - leadMilliseconds);
    const cursors = sealedCursors(stage.ambient, sealsWithTwo);
    const use = { route: "r", workspaceId: "w", parameters: {} };
    const cursor = await cursors.seal(use, "after");
    expect(sealedUnder(cursor)).toBe("cursor-2");
    expect(await sealedCursors(stage.ambient, knowsOne).open(use, cursor)).toBe("after");
  });

  test("leaves open what the one before has sealed: records, cursors, links that were sent, drafts", async () => {
    const draft = await stage.draft(caller(), "Old draft");
    const month = new Date(stage.ambient.now()).toISOString().slice(0, 7);
    const use = { route: "r", workspaceId: "w", parameters: {} };
    const cursor = await sealedCursors(stage.ambient, stage.needs.keys).seal(use, "after");
    await care();
    later();
    await care(0);
    later(leadMilliseconds);
    const keys = keysOf();
    expect((await keys.platform()).current).toBe(2);
    expect(await sealedCursors(stage.ambient, keys).open(use, cursor)).toBe("after");
    await keys.ring(draft.id);
    const log = makeAccessLog({ ambient: stage.ambient, keys, store: accessStore(stage.cosmos.access) });
    expect((await log.list("acme", month, { limit: 10 })).map(({ what }) => what)).toContain("connection-created");
  });

  test("does not make two connections of one name possible", async () => {
    await stage.draft(caller(), "Head office");
    await care();
    later();
    await care(0);
    later(leadMilliseconds + keyCacheMilliseconds);
    expect((await stage.needs.keys.platform()).current).toBe(2);
    expect(await codeOf(stage.draft(caller(), "head  office"))).toBe("name-taken");
  });

  test("is one, whoever asks at the same time and wherever a process dies", async () => {
    await care();
    later(year);
    const outcomes = await Promise.all([care(), care(), care()]);
    expect(outcomes.filter(({ made }) => made === 2)).toHaveLength(1);
    expect(names()).toEqual(["platform-k1", "platform-k2"]);
    for (let calls = 0; calls < 8; calls++) {
      later(year);
      const before = (await readGenerations(stage.secrets))?.length ?? 0;
      await care(year, mortal(instance(), calls, ["secrets", "handshakes"])).catch(() => undefined);
      later();
      await care();
      const list = (await readGenerations(stage.secrets)) ?? [];
      expect(list.at(-1)?.n).toBeGreaterThan(before);
      expect(names()).toEqual(list.map(({ n }) => `platform-k${n}`).toSorted());
      later(leadMilliseconds);
      const platform = await keysOf().platform();
      expect(platform.current).toBe(list.at(-1)?.n);
      for (const { n } of list) platform.derive("access", n);
    }
  });
});

describe("an old generation", () => {
  test("goes when the last record under it has expired, and not while a draft needs it", async () => {
    const { id } = await stage.draft(caller(), "Draft");
    await care();
    later();
    await care(0);
    later(leadMilliseconds + keyCacheMilliseconds + keptMilliseconds - day);
    expect((await care(9 * year)).deleted).toEqual([]);
    later(day);
    // Somebody's draft is still wrapped by it.
    expect((await care(9 * year)).deleted).toEqual([]);
    await keysOf().ring(id);
    later();
    const tick = careForKeys(instance({ rotationMilliseconds: 9 * year }));
    expect(await tick()).toMatchObject({ platformDeleted: 0 });
    await careForKeys(instance())();
    expect(sealedUnder((await stage.store.read(id, "ring", ids.ring))?.wrapped ?? "")).toBe("draft-2");
    later();
    expect((await care(9 * year)).deleted).toEqual([1]);
    expect(names()).not.toContain("platform-k1");
    const platform = await keysOf().platform();
    expect(platform.current).toBeGreaterThan(1);
    expect(() => platform.derive("access", 1)).toThrow("key-missing");
    await keysOf().ring(id);
  });

  test("is gone from vault and list in the end, wherever the process dies that deletes it", async () => {
    for (let calls = 0; calls < 8; calls++) {
      await care();
      later();
      await care(0);
      later(leadMilliseconds + keyCacheMilliseconds + keptMilliseconds + day);
      await care(9 * year, mortal(instance(), calls, ["secrets", "handshakes", "store"])).catch(() => undefined);
      await keysOf().platform();
      later();
      await care(9 * year);
      const list = (await readGenerations(stage.secrets)) ?? [];
      expect(list).toHaveLength(1);
      expect(names()).toEqual(list.map(({ n }) => `platform-k${n}`));
    }
  });
});
