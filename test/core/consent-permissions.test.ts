/** What an administrator is shown of each tier: asked for, approved here, granted there, what for, and when it was last used. */
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { noteUse } from "../../src/core/consent/usage.ts";
import { AppError } from "../../src/core/errors.ts";
import { ids } from "../../src/core/store/documents.ts";
import { approve, caller, connected, FakeMicrosoft, openStage, readRoles, type Stage } from "./connections-stage.ts";

let stage: Stage;
let name = 0;
const who = caller();

beforeAll(async () => {
  stage = await openStage();
});
afterAll(() => stage.close());
beforeEach(() => {
  Object.assign(stage.microsoft, new FakeMicrosoft(stage.ambient.now), { granted: [...readRoles] });
});

const connect = async (access: object = {}): Promise<string> =>
  (await connected(stage, who, `Shown ${(name += 1)}`, access)).id;
const shown = async (id: string, tier: "read" | "signIn" | "write") => {
  const found = (await stage.cases.permissions(who, id)).find((each) => each.tier === tier);
  if (!found) throw new Error("every tier is shown");
  return found;
};
const headOf = (id: string) => stage.store.read(id, "head", ids.head);

test("a permission is shown in Microsoft's words, with what stops without it", async () => {
  const id = await connect({ write: true });
  const [first] = (await shown(id, "read")).permissions;
  expect(first).toEqual({
    value: "User.Read.All",
    type: "application",
    wording: "Read all users' full profiles",
    without: "Nobody is synchronised or found by a search; who is known stays as he is.",
    approved: true,
    granted: true,
  });
  expect((await shown(id, "write")).permissions).toMatchObject([
    { value: "User.ReadWrite.All", approved: false, granted: null },
    { value: "Group.ReadWrite.All", approved: false, granted: null },
  ]);
});

test("what Microsoft refuses now is shown before the review has confirmed it, with what to do", async () => {
  const id = await connect();
  stage.microsoft.refusals = { read: new AppError("application-disabled") };
  const { permissions, effective } = await shown(id, "read");
  expect(permissions.map(({ approved, granted }) => [approved, granted])).toEqual(readRoles.map(() => [true, false]));
  expect(effective).toMatchObject({
    state: "revoked",
    trouble: {
      code: "application-disabled",
      advice: "Enable sign-in for the application under Enterprise applications.",
    },
  });
  expect((await stage.cases.read(who, id)).access.read.state).toBe("active");
});

test.each(["sign-in-unavailable", "credential-expired"] as const)(
  "when it cannot be asked (%s), what is known is shown, and that it was not asked",
  async (code) => {
    const id = await connect();
    stage.microsoft.refusals = { read: new AppError(code) };
    const { permissions, effective } = await shown(id, "read");
    expect(permissions.map(({ granted }) => granted)).toEqual([null, null, null]);
    expect(effective).toEqual({ wanted: true, state: "active", missing: [] });
  },
);

test("reading was last used by the last run", async () => {
  const id = await connect();
  expect((await shown(id, "read")).usedOn).toBeNull();
  const lastRound = {
    startedAt: Date.parse("2026-01-30T23:59:00Z"),
    endedAt: Date.parse("2026-01-31T00:01:00Z"),
    cause: "schedule",
    outcome: "nothing",
    requests: 2,
  };
  await stage.cosmos.directory.item(ids.head, id).patch([{ op: "set", path: "/lastRound", value: lastRound }]);
  expect((await shown(id, "read")).usedOn).toBe("2026-01-31");
});

test("another tier's use is noted by the day, with one write, and fails nothing", async () => {
  const id = await connect({ signIn: true });
  await stage.cases.complete(who, id, {
    code: (await approve(stage, id, who, "signIn")).searchParams.get("code") ?? "",
  });
  expect((await shown(id, "signIn")).usedOn).toBeNull();
  const use = noteUse(stage.needs);
  const { sequence } = (await headOf(id)) ?? { sequence: -1 };
  await use(id, "signIn");
  const noted = await headOf(id);
  expect((await shown(id, "signIn")).usedOn).toBe(new Date(stage.ambient.now()).toISOString().slice(0, 10));
  await use(id, "signIn");
  expect(await headOf(id)).toEqual(noted);
  expect(noted?.sequence).toBe(sequence);
  stage.ambient.advance(86_400_000);
  await use(id, "signIn");
  expect((await headOf(id))?.commitId).not.toBe(noted?.commitId);
  const unreachable = { read: () => Promise.reject(new AppError("store-unavailable")), write: stage.store.write };
  await noteUse({ ...stage.needs, store: unreachable })(id, "signIn");
});
