import { randomBytes } from "node:crypto";
import { afterAll, beforeAll, expect, it } from "vitest";
import { accessStore } from "../../src/adapters/cosmos/access-store.ts";
import { directoryStore } from "../../src/adapters/cosmos/directory-store.ts";
import { type AccessLog, type AccessTrail, makeAccessLog } from "../../src/core/audit/access-log.ts";
import { platformKeys } from "../../src/core/crypto/platform-key.ts";
import { AppError } from "../../src/core/errors.ts";
import { type AccessFilter, type AccessTrailNeeds, readAccess } from "../../src/core/views/access-trail.ts";
import { newId, openTestDatabase, type TestDatabase } from "../adapters/cosmos-fixture.ts";
import { testAmbient } from "./test-ambient.ts";
import { caller } from "./views-stage.ts";

const ambient = testAmbient("2026-01-15T12:00:00.000Z");
const platform = platformKeys(new Map([[1, randomBytes(32)]]));
const day = 86_400_000;
const auditor = { ...caller("audit:read"), workspaceId: newId() };

let database: TestDatabase;
let access: AccessLog & AccessTrail;
let needs: AccessTrailNeeds;
beforeAll(async () => {
  database = await openTestDatabase();
  const store = accessStore(database.cosmos.access);
  access = makeAccessLog({ ambient, keys: { platform: async () => platform }, store });
  const keys = { ring: () => Promise.reject(new AppError("key-missing")) };
  needs = { ambient, access, store: directoryStore(database.cosmos.directory), keys };
  // One each ten days, over five months of which one has none: a month is skipped by nobody.
  for (let turn = 0; turn < 12; turn++) {
    const about = {
      subject: turn % 2 ? "ada" : "eve",
      ip: "192.0.2.7",
      correlationId: String(turn),
      route: "people.read",
    };
    await access.record(auditor.workspaceId, { what: turn % 2 ? "read" : "refused", ...about });
    ambient.advance(turn === 5 ? 50 * day : 10 * day);
  }
});
afterAll(() => database.close());

const turns = async (filter: AccessFilter, limit: number): Promise<number[]> => {
  const found: number[] = [];
  for (let after: string | undefined; ; ) {
    const page = await readAccess(needs)(auditor, filter, {
      limit,
      ...(after === undefined ? {} : { after }),
    });
    found.push(...page.items.map(({ correlationId }) => Number(correlationId)));
    if (page.next === null) return found;
    after = page.next;
  }
};
const allTurns = [11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0];

it.each([1, 2, 5, 50])("goes back through the months, newest first, each record once (%i a page)", async (limit) => {
  expect(await turns({}, limit)).toEqual(allTurns);
});

it("is cut by time to the millisecond, and by what is asked for", async () => {
  const at = (
    await access.listBackwards(auditor.workspaceId, "2026-02", { from: 0, to: ambient.now(), limit: 50 })
  ).map((found) => found.at);
  const [newest = "", , oldest = ""] = at;
  expect(at).toHaveLength(3);
  expect(await turns({ from: oldest, to: newest }, 50)).toEqual([3, 2]);
  expect(await turns({ from: oldest, to: new Date(Date.parse(newest) + 1).toISOString() }, 1)).toEqual([4, 3, 2]);
  expect(await turns({ what: "read" }, 2)).toEqual([11, 9, 7, 5, 3, 1]);
  expect(await turns({ actor: "eve", from: newest }, 2)).toEqual([10, 8, 6, 4]);
  expect(await turns({ from: "2031-01-01T00:00:00Z" }, 2)).toEqual([]);
});

it("shows nothing that is older than the log is kept, and nothing of another workspace", async () => {
  expect(await turns({ from: "1999-01-01T00:00:00Z" }, 3)).toEqual(allTurns);
  const other = { ...auditor, workspaceId: newId() };
  expect((await readAccess(needs)(other, {}, { limit: 5 })).items).toEqual([]);
});

it("shows nothing of a connection that is being deleted and whose list of rights can no longer be read", async () => {
  const workspaceId = newId();
  const [deleted, other] = [newId(), newId()];
  const security = { id: "security", kind: "security", connectionId: deleted, v: 1, workspaceId, grants: "lost" };
  await database.cosmos.directory.items.create(security);
  for (const connectionId of [deleted, other])
    await access.record(workspaceId, {
      what: "read",
      subject: "ada",
      ip: "unknown",
      correlationId: "c",
      route: "people.list",
      connectionId,
    });
  const { items } = await readAccess(needs)({ ...auditor, workspaceId }, {}, { limit: 5 });
  expect(items.map(({ connection }) => connection)).toEqual([other]);
});
