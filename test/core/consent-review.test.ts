/** The daily look at what Microsoft still grants: doubts, confirmation, recovery, and what it never touches. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { Tier } from "../../src/core/connections/tiers.ts";
import { doubtMilliseconds } from "../../src/core/consent/review.ts";
import { wake } from "../../src/core/directory/wake.ts";
import { AppError, type ProblemCode, problems } from "../../src/core/errors.ts";
import { ids } from "../../src/core/store/documents.ts";
import { approve, caller, connected, FakeMicrosoft, openStage, readRoles, type Stage } from "./connections-stage.ts";

const writeRoles = ["User.ReadWrite.All", "Group.ReadWrite.All"];
const day = 86_400_000;

let stage: Stage;
let name = 0;

beforeAll(async () => {
  stage = await openStage();
});
afterAll(() => stage.close());
beforeEach(() => {
  Object.assign(stage.microsoft, new FakeMicrosoft(stage.ambient.now), { granted: [...readRoles, ...writeRoles] });
});

const who = caller();
const headOf = async (id: string) => {
  const head = await stage.store.read(id, "head", ids.head);
  if (!head) throw new Error("no head");
  return head;
};
const view = (id: string) => stage.cases.read(who, id);
const approved = async (id: string, tier: Tier): Promise<void> => {
  stage.microsoft.person.authTime = Math.floor(stage.ambient.now() / 1000);
  const code = (await approve(stage, id, who, tier)).searchParams.get("code") ?? "";
  await stage.cases.complete(who, id, { code });
};
/** No run is due. */
const quiet = async (id: string): Promise<void> => {
  const operations = ["/dueAt", "/wakeAt"].map((path) => ({ op: "set" as const, path, value: null }));
  await stage.cosmos.directory.item(ids.head, id).patch(operations);
};
/** Reading and changing are approved. */
const connection = async (): Promise<string> => {
  const { id } = await connected(stage, who, `Reviewed ${(name += 1)}`, { write: true });
  await approved(id, "write");
  await quiet(id);
  return id;
};
/** Moves time to the next look, and has it done. */
const look = async (id: string): Promise<void> => {
  const { reviewAt } = await headOf(id);
  if (!reviewAt) throw new Error("no review is due");
  stage.ambient.advance(Math.max(0, reviewAt - stage.ambient.now()) + 1);
  expect(await stage.work(id)).toBe("nothing-due");
  expect((await headOf(id)).owner).toBeNull();
};
const untilNext = async (id: string): Promise<number> => ((await headOf(id)).reviewAt ?? 0) - stage.ambient.now();
const reviewEntries = async (id: string) => (await stage.log(id)).filter(({ cause }) => cause === "review");

describe("a tier whose permission was taken away", () => {
  test("counts as degraded when a second look finds the same, is recorded once, and works again at once", async () => {
    const id = await connection();
    const before = await headOf(id);
    stage.microsoft.granted = [...readRoles, "User.ReadWrite.All"];
    await look(id);
    expect((await view(id)).access.write.state).toBe("active");
    expect(await reviewEntries(id)).toEqual([]);
    expect(await untilNext(id)).toBeLessThanOrEqual(doubtMilliseconds);

    await look(id);
    const degraded = await view(id);
    expect(degraded).toMatchObject({
      state: "active",
      access: {
        read: { state: "active" },
        write: {
          state: "degraded",
          missing: ["Group.ReadWrite.All"],
          trouble: { code: "permission-revoked", advice: "An administrator must approve again." },
        },
      },
    });
    await look(id);
    expect(await reviewEntries(id)).toMatchObject([
      {
        kind: "tier",
        object: "write",
        evidence: "permission-revoked",
        actor: null,
        changes: [
          { field: "state", before: "active", after: "degraded" },
          { field: "missing", before: [], after: ["Group.ReadWrite.All"] },
        ],
      },
    ]);

    stage.microsoft.granted = [...readRoles, ...writeRoles];
    expect(await untilNext(id)).toBeLessThanOrEqual(day / 24);
    await look(id);
    expect((await view(id)).access.write).toEqual({ wanted: true, state: "active", missing: [] });
    expect((await reviewEntries(id)).map(({ evidence }) => evidence)).toEqual(["permission-revoked", "recovered"]);
    expect(await untilNext(id)).toBeGreaterThan(day / 2);
    const after = await headOf(id);
    for (const untouched of ["epoch", "links", "counters", "retireAt", "dueAt"] as const)
      expect(after[untouched]).toEqual(before[untouched]);
  });

  test("leaves no trace when it was back before the second look", async () => {
    const id = await connection();
    const { sequence } = await headOf(id);
    stage.microsoft.granted = readRoles;
    await look(id);
    stage.microsoft.granted = [...readRoles, ...writeRoles];
    await look(id);
    expect(await headOf(id)).toMatchObject({ sequence, doubts: {} });
  });

  test("is looked at twice again after somebody has approved in between", async () => {
    const id = await connection();
    stage.microsoft.refusals = { write: new AppError("application-disabled") };
    await look(id);
    stage.microsoft.refusals = {};
    await approved(id, "write");
    stage.microsoft.refusals = { write: new AppError("application-disabled") };
    await look(id);
    expect((await view(id)).access.write.state).toBe("active");
    await look(id);
    expect((await view(id)).access.write.state).toBe("revoked");
  });
});

test.each<ProblemCode>(["consent-revoked", "application-disabled", "tenant-gone", "policy-blocked", "tenant-blocked"])(
  "%s is told apart, with a sentence of advice, and ends by itself",
  async (code) => {
    const id = await connection();
    stage.microsoft.refusals = { write: new AppError(code) };
    await look(id);
    await look(id);
    const { advice } = new AppError(code);
    expect(advice).toMatch(/^[A-Z].*\.$/);
    expect((await view(id)).access.write).toMatchObject({ state: "revoked", missing: [], trouble: { code, advice } });
    expect((await reviewEntries(id)).map(({ evidence }) => evidence)).toEqual([code]);
    stage.microsoft.refusals = {};
    await look(id);
    expect((await view(id)).access.write).toEqual({ wanted: true, state: "active", missing: [] });
  },
);

test.each<ProblemCode>(["sign-in-unavailable", "credential-rejected", "credential-expired", "not-configured"])(
  "%s is no word about any tier: nothing changes, and it is asked again soon",
  async (code) => {
    expect(problems[code].kind).not.toBe("not-consented");
    const id = await connection();
    const { sequence } = await headOf(id);
    stage.microsoft.refusals = { read: new AppError(code), write: new AppError(code) };
    for (let time = 0; time < 3; time++) {
      await look(id);
      expect(await untilNext(id)).toBeLessThanOrEqual(day / 24);
    }
    expect(await headOf(id)).toMatchObject({ sequence, doubts: {} });
    expect((await view(id)).access).toMatchObject({ read: { state: "active" }, write: { state: "active" } });
  },
);

describe("reading", () => {
  test("that is refused brings the connection into need of attention, and the self-test takes over", async () => {
    const id = await connection();
    stage.microsoft.refusals = { read: new AppError("consent-revoked") };
    await look(id);
    expect(await view(id)).toMatchObject({ state: "active", attention: null });
    await look(id);
    const troubled = await view(id);
    expect(troubled).toMatchObject({
      state: "needs-attention",
      attention: { code: "consent-revoked" },
      access: { read: { state: "revoked" }, write: { state: "active" } },
    });
    expect(Date.parse(troubled.nextTestAt ?? "")).toBeGreaterThan(stage.ambient.now());
    expect((await stage.log(id)).slice(-2).map(({ kind, evidence }) => [kind, evidence])).toEqual([
      ["tier", "consent-revoked"],
      ["connection", "consent-revoked"],
    ]);
  });

  test("that has come to need more is degraded, though another connection of the tenant has it, until it is approved here", async () => {
    const id = await connection();
    const asOfOld = [{ op: "set" as const, path: "/roles", value: readRoles.slice(0, 2) }];
    await stage.cosmos.directory.item(ids.proof("read"), id).patch(asOfOld);
    await look(id);
    await look(id);
    expect(await view(id)).toMatchObject({
      state: "active",
      access: { read: { state: "degraded", missing: ["Organization.Read.All"] } },
    });
    await approved(id, "read");
    await quiet(id);
    await look(id);
    expect((await view(id)).access.read).toEqual({ wanted: true, state: "active", missing: [] });
  });
});

describe("the next look", () => {
  test("is found by the timer, and not while nothing is approved", async () => {
    const hinted: string[] = [];
    const hints = { send: (hint: { connectionId: string }) => Promise.resolve(void hinted.push(hint.connectionId)) };
    const tick = () => wake({ ...stage.needs, hints })();
    const draft = await stage.draft(who, `Reviewed ${(name += 1)}`);
    const id = await connection();
    await tick();
    expect(hinted).not.toContain(id);
    stage.ambient.advance(day);
    await tick();
    expect(hinted).toContain(id);
    expect(hinted).not.toContain(draft.id);
  });

  test("ends with the deletion of the connection, and begins with its restoration", async () => {
    const id = await connection();
    const { displayName } = await view(id);
    await stage.cases.close(who, id, { displayName });
    expect((await headOf(id)).reviewAt).toBeNull();
    await stage.cases.restore(who, id);
    expect((await headOf(id)).reviewAt).toBeLessThanOrEqual(stage.ambient.now());
  });

  test("ends with the last tier that was approved, and comes back with it", async () => {
    const { id } = await stage.draft(who, `Reviewed ${(name += 1)}`, { signIn: true });
    await approved(id, "signIn");
    const off = await stage.cases.update(who, id, (await view(id)).etag, { access: { signIn: false } });
    await look(id);
    expect((await headOf(id)).reviewAt).toBeNull();
    await stage.cases.update(who, id, off.etag, { access: { signIn: true } });
    expect(await untilNext(id)).toBeGreaterThan(0);
  });

  test("that finds the keys out of reach holds up nothing else", async () => {
    const id = await connection();
    const { ring } = stage.needs.keys;
    stage.needs.keys.ring = () => Promise.reject(new AppError("keys-unavailable"));
    try {
      await look(id);
    } finally {
      stage.needs.keys.ring = ring;
    }
    expect(await untilNext(id)).toBeGreaterThan(0);
  });
});
