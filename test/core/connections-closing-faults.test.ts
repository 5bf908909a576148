/** Processes that die inside the deletion of a connection, and a database that is put back to the day before. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Receipt } from "../../src/core/audit/access-log.ts";
import { graceMilliseconds, marginMilliseconds } from "../../src/core/connections/close.ts";
import { finishClosing } from "../../src/core/connections/finish-closing.ts";
import { keyCacheMilliseconds } from "../../src/core/crypto/keys.ts";
import { backupMilliseconds } from "../../src/core/privacy/ledger.ts";
import { mortal } from "../support/mortal.ts";
import { claimIn, connectionIn, fillWith, headIn, storedAbout } from "./closing-stage.ts";
import { caller, codeOf, connected, openStage, type Stage } from "./connections-stage.ts";

/** More than the calls to the outside that one deletion takes. */
const mostCalls = 70;
const leaseMilliseconds = 60_001;

let stage: Stage;
beforeAll(async () => {
  stage = await openStage();
});
afterAll(() => stage.close());

/** With something of every kind in it, due to be deleted. */
const due = async (name: string): Promise<string> => {
  stage.microsoft.person.authTime = Math.floor(stage.ambient.now() / 1000);
  const { id, displayName } = await connected(stage, caller(), name);
  await fillWith(stage, id);
  await stage.needs.consumers.put(id, { name: "crm", sequence: 1, seenAt: 1 }, null);
  await stage.cases.close(caller(), id, { displayName });
  stage.ambient.advance(graceMilliseconds + marginMilliseconds);
  return id;
};

const receiptsOf = async (connectionId: string) => {
  // The month may have ended a moment ago.
  const monthOf = (time: number): string => new Date(time).toISOString().slice(0, 7);
  const months = new Set([monthOf(stage.ambient.now() - 3_600_000), monthOf(stage.ambient.now())]);
  const records = await Promise.all([...months].map((month) => stage.access.list("acme", month, { limit: 1000 })));
  return records
    .flat()
    .filter((record) => record.connectionId === connectionId && record.route === "connections.closed");
};

/** Nothing but an empty head for a day, and the key is destroyed. */
const isGone = async (id: string): Promise<void> => {
  expect((await storedAbout(stage, id)).map((line) => JSON.parse(line).document.id)).toEqual(["head"]);
  expect(await headIn(stage, id)).toMatchObject({ wakeAt: null, run: null, links: null, ttl: 86_400 });
  expect([...stage.secrets.values.keys()].filter((name) => name.includes(id))).toEqual([]);
  expect(await codeOf(stage.cases.read(caller(), id))).toBe("connection-not-found");
};

test("a process that dies after any call is followed by one that finishes, and nothing opens in between", async () => {
  const died: boolean[] = [];
  for (let calls = 0; died.at(-1) !== false && calls < mostCalls; calls++) {
    const id = await due(`Dies after ${calls}`);
    const dying = mortal(stage.needs, calls, ["store", "index", "consumers", "webhooks", "keys", "access"]);
    const head = await claimIn(stage, id);
    died.push(
      await finishClosing(dying)(await connectionIn(stage, id), head).then(
        () => false,
        () => true,
      ),
    );
    if (died.at(-1)) {
      const isKeyThere = stage.secrets.values.has(`c-${id}-k1`);
      if (!isKeyThere) expect(await codeOf(stage.cases.read(caller(), id))).toBe("connection-not-found");
      stage.ambient.advance(leaseMilliseconds);
      const connection = await stage.store.read(id, "connection", "connection");
      // The last commit may have gone through unheard.
      if (connection) expect(await stage.cases.finishClosing(connection, await claimIn(stage, id))).toBe("closed");
    }
    await isGone(id);
    expect((await receiptsOf(id)).length).toBeGreaterThanOrEqual(1);
  }
  expect(died.at(-1)).toBe(false);
  expect(died.length).toBeGreaterThan(15);
}, 60_000);

describe("the receipt", () => {
  test("says what was destroyed and from when on it is gone from where, and can be read afterwards", async () => {
    const id = await due("Leaves a receipt");
    const { counters, sequence } = await headIn(stage, id);
    const before = stage.ambient.now();
    await stage.cases.finishClosing(await connectionIn(stage, id), await claimIn(stage, id));
    await isGone(id);
    const [receipt, ...more] = (await receiptsOf(id)).map((record) => Receipt.parse(record.receipt));
    if (!receipt) throw new Error("no receipt");
    expect(more).toEqual([]);
    const live = Date.parse(receipt.live);
    expect(live).toBeGreaterThanOrEqual(before);
    expect(live).toBeLessThanOrEqual(stage.ambient.now());
    expect(Date.parse(receipt.caches) - live).toBe(keyCacheMilliseconds);
    expect(Date.parse(receipt.backups) - live).toBe(backupMilliseconds);
    expect(receipt.destroyed).toEqual({ ...counters, logEntries: sequence });
  });
});

describe("a database that is put back", () => {
  test("to the day before a connection was deleted has it deleted again: every backup knows that it is to be", async () => {
    // Otherwise a backup could hold it as one that nobody wants gone.
    expect(graceMilliseconds).toBeGreaterThanOrEqual(backupMilliseconds);
    const id = await due("Comes back");
    const { items } = stage.cosmos.directory;
    const query = () => items.query<Record<string, unknown>>("SELECT * FROM c", { partitionKey: id }).fetchAll();
    const yesterday = (await query()).resources;
    await stage.cases.finishClosing(await connectionIn(stage, id), await claimIn(stage, id));
    await stage.cosmos.directory.item("head", id).delete();
    for (const { _rid, _self, _etag, _attachments, _ts, ...document } of yesterday) await items.create(document);

    expect(await codeOf(stage.cases.read(caller(), id))).toBe("connection-not-found");
    expect(await stage.store.due(stage.ambient.now(), 1000)).toContain(id);
    expect(await stage.cases.finishClosing(await connectionIn(stage, id), await claimIn(stage, id))).toBe("closed");
    await isGone(id);
    expect(await receiptsOf(id)).toHaveLength(2);
  });
});
