import { randomBytes } from "node:crypto";
import { afterAll, beforeAll, expect, it } from "vitest";
import { accessStore } from "../../src/adapters/cosmos/access-store.ts";
import { type AccessLog, type AccessTrail, makeAccessLog } from "../../src/core/audit/access-log.ts";
import { platformKeys } from "../../src/core/crypto/platform-key.ts";
import { type AccessFilter, readAccess } from "../../src/core/views/access-trail.ts";
import { newId, openTestDatabase, type TestDatabase } from "../adapters/cosmos-fixture.ts";
import { testAmbient } from "./test-ambient.ts";
import { caller } from "./views-stage.ts";

const ambient = testAmbient("2026-01-15T12:00:00.000Z");
const platform = platformKeys(new Map([[1, randomBytes(32)]]));
const day = 86_400_000;
const auditor = { ...caller("audit:read"), workspaceId: newId() };

let database: TestDatabase;
let access: AccessLog & AccessTrail;
beforeAll(async () => {
  database = await openTestDatabase();
  const store = accessStore(database.cosmos.access);
  access = makeAccessLog({ ambient, keys: { platform: async () => platform }, store });
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
    const page = await readAccess({ ambient, access })(auditor, filter, {
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
  expect((await readAccess({ ambient, access })(other, {}, { limit: 5 })).items).toEqual([]);
});
