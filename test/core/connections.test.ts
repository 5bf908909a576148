import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { chainStart, verifyChain } from "../../src/core/audit/change-log.ts";
import { scheduleAfter } from "../../src/core/connections/change-settings.ts";
import { CreateConnection, createConnection } from "../../src/core/connections/create.ts";
import { DisplayName } from "../../src/core/connections/name.ts";
import type { Settings } from "../../src/core/connections/settings.ts";
import { defaultSettings } from "../../src/core/connections/settings.ts";
import { UpdateConnection } from "../../src/core/connections/update.ts";
import { nextDue } from "../../src/core/directory/schedule.ts";
import { AppError } from "../../src/core/errors.ts";
import { commit } from "../../src/core/store/commit.ts";
import { UnknownOutcome } from "../../src/core/store/ports.ts";
import {
  approve,
  caller,
  codeOf,
  connected,
  FakeMicrosoft,
  openStage,
  readRoles,
  type Stage,
} from "./connections-stage.ts";

let stage: Stage;
let name = 0;
const newName = (): string => `Connection ${(name += 1)}`;
const headOf = async (id: string) => {
  const head = await stage.store.read(id, "head", "head");
  if (!head) throw new Error("there is no head");
  return head;
};

beforeAll(async () => {
  stage = await openStage();
});
afterAll(() => stage.close());
beforeEach(() => {
  Object.assign(stage.microsoft, new FakeMicrosoft(stage.ambient.now), { granted: [...readRoles] });
  stage.hinted.length = 0;
});

describe("a new connection", () => {
  test("is a draft with its keys, its record and nothing else", async () => {
    const displayName = newName();
    const view = await stage.draft(caller(), displayName, { signIn: true });
    expect(view).toMatchObject({
      displayName,
      state: "draft",
      tid: null,
      paused: false,
      nextSyncAt: null,
      counts: { people: 0, groups: 0, memberships: 0 },
      access: {
        read: { wanted: true, state: "consent-needed", missing: [] },
        signIn: { wanted: true, state: "consent-needed", missing: [] },
        write: { wanted: false, state: "off", missing: [] },
      },
    });
    const docs = await stage.store.log(view.id, 0, 10);
    expect(verifyChain(docs, { sequence: 0, chain: chainStart(view.id) })).toMatchObject({
      fault: null,
      ...(({ sequence, chain }) => ({ sequence, chain }))(await headOf(view.id)),
    });
    expect(await stage.log(view.id)).toMatchObject([
      { kind: "connection", op: "created", actor: { subject: "alice", ip: "192.0.2.1" } },
    ]);
    const stored = JSON.stringify([
      docs,
      await stage.store.read(view.id, "connection", "connection"),
      await stage.index.list("acme", { limit: 200 }),
    ]);
    expect(stored).not.toContain(displayName);
    expect(stored).not.toContain("alice");
  });

  test("is in the access log of its workspace", async () => {
    const { id } = await stage.draft(caller("logged"), newName());
    const month = new Date(stage.ambient.now()).toISOString().slice(0, 7);
    expect(await stage.access.list("logged", month, { limit: 10 })).toMatchObject([
      { what: "connection-created", subject: "alice", connectionId: id },
    ]);
  });

  test.each([
    ["reading switched off", { displayName: "A", access: { read: false } }],
    ["no access", { displayName: "A" }],
    ["an unknown tier", { displayName: "A", access: { read: true, mail: true } }],
    ["an unknown field", { displayName: "A", access: { read: true }, tid: "x" }],
    ["an empty name", { displayName: "  ", access: { read: true } }],
    ["a long name", { displayName: "x".repeat(101), access: { read: true } }],
    ["a name that turns its direction", { displayName: "a\u202eb", access: { read: true } }],
    ["a name of two lines", { displayName: "a\nb", access: { read: true } }],
  ])("is not made with %s", (_what, input) => {
    expect(CreateConnection.safeParse(input).success).toBe(false);
  });

  test("is not made with a tier that is not offered", async () => {
    expect(await codeOf(stage.draft(caller(), newName(), { calendar: true }))).toBe("tier-not-offered");
  });

  test("is made once when the answer of the database is lost", async () => {
    const lossy = {
      ...stage.needs,
      store: {
        ...stage.store,
        write: async (...parameters: Parameters<typeof stage.store.write>) => {
          await stage.store.write(...parameters);
          throw new UnknownOutcome(new Error("reset"));
        },
      },
    };
    const input = CreateConnection.parse({ displayName: newName(), access: { read: true } });
    const { id } = await createConnection(lossy)(caller(), input);
    expect((await stage.cases.read(caller(), id)).state).toBe("draft");
  });
});

describe("the name", () => {
  test.each([
    ["another case", "head office"],
    ["another width", "Ｈead Office"],
    ["more space", "Head   Office"],
  ])("is taken in its workspace also in %s", async (what, same) => {
    const who = caller(`names ${what}`.replaceAll(" ", "-"));
    await stage.draft(who, "Head Office");
    expect(await codeOf(stage.draft(who, same))).toBe("name-taken");
    expect(await codeOf(stage.draft(caller(`${who.workspaceId}-2`), same))).toBe("none");
  });

  test("goes to one of two who take it at once", async () => {
    const who = caller("race");
    const both = await Promise.all([1, 2].map(() => codeOf(stage.draft(who, "Race"))));
    expect(both.toSorted()).toEqual(["name-taken", "none"]);
  });

  test("is free again when its connection was never written", async () => {
    const who = caller("orphans");
    const failing = {
      ...stage.needs,
      store: { ...stage.store, write: () => Promise.reject(new UnknownOutcome(new Error("reset"))) },
    };
    const input = CreateConnection.parse({ displayName: "Lost", access: { read: true } });
    expect(await codeOf(createConnection(failing)(who, input))).toBe("store-unavailable");
    expect((await stage.cases.list(who, { limit: 10 })).items).toEqual([]);
    expect(await codeOf(stage.draft(who, "Lost"))).toBe("name-taken");
    stage.ambient.advance(600_001);
    expect(await codeOf(stage.draft(who, "Lost"))).toBe("none");
    expect(await stage.index.list("orphans", { limit: 10 })).toHaveLength(1);
  });

  test("is kept as typed, in one normal form", () => {
    expect(DisplayName.parse("  Zürich 👩‍💻 ")).toBe("Zürich 👩‍💻");
    expect(DisplayName.parse("Zu\u0308rich")).toBe("Zürich");
  });
});

describe("another workspace's connection", () => {
  test("does not exist, like one that is unknown or malformed", async () => {
    const { id, displayName, etag } = await stage.draft(caller("owner"), newName());
    const unknown = stage.ambient.ulid();
    for (const [who, connectionId] of [
      [caller("other"), id],
      [caller("owner"), unknown],
      [caller("owner"), "../head"],
      [caller("owner"), id.toUpperCase()],
      [caller("owner"), ""],
    ] as const) {
      const attempts = [
        stage.cases.read(who, connectionId),
        stage.cases.update(who, connectionId, etag, { displayName: "Mine" }),
        stage.cases.close(who, connectionId, { displayName }),
        stage.cases.restore(who, connectionId),
        stage.cases.readSettings(who, connectionId),
        stage.cases.changeSettings(who, connectionId, '"1"', {
          ...defaultSettings,
          automatic: false,
          intervalMinutes: 60,
          paused: true,
        }),
        stage.cases.permissions(who, connectionId),
      ];
      expect(new Set(await Promise.all(attempts.map(codeOf)))).toEqual(new Set(["connection-not-found"]));
    }
  });

  test("is in no list", async () => {
    const who = caller("lists");
    const made = [];
    for (let count = 0; count < 5; count += 1) made.push((await stage.draft(who, newName())).id);
    await stage.draft(caller("lists-2"), newName());
    const first = await stage.cases.list(who, { limit: 3 });
    const second = await stage.cases.list(who, { limit: 3, after: first.next ?? "" });
    expect([...first.items, ...second.items].map(({ id }) => id)).toEqual(made);
    expect([first.next, second.next]).toEqual([made[2], null]);
  });
});

describe("changing name and access", () => {
  test("needs the ETag of what was read", async () => {
    const { id, etag } = await stage.draft(caller(), newName());
    expect(await codeOf(stage.cases.update(caller(), id, undefined, { displayName: newName() }))).toBe("etag-required");
    const renamed = await stage.cases.update(caller(), id, etag, { displayName: newName() });
    expect(await codeOf(stage.cases.update(caller(), id, etag, { displayName: newName() }))).toBe("etag-mismatch");
    expect(renamed.displayName).toBe(`Connection ${name - 1}`);
    expect((await stage.cases.update(caller(), id, renamed.etag, { displayName: newName() })).displayName).toBe(
      `Connection ${name}`,
    );
  });

  test("frees the old name and respects those of others", async () => {
    const who = caller("renames");
    const one = await stage.draft(who, "One");
    await stage.draft(who, "Two");
    expect(await codeOf(stage.cases.update(who, one.id, one.etag, { displayName: "two" }))).toBe("name-taken");
    await stage.cases.update(who, one.id, one.etag, { displayName: "Three" });
    expect(await codeOf(stage.draft(who, "One"))).toBe("none");
    expect(await codeOf(stage.draft(who, "three"))).toBe("name-taken");
  });

  test("gives a new name back when the change fails", async () => {
    stage.microsoft.granted = [...readRoles, "User.ReadWrite.All", "Group.ReadWrite.All"];
    const who = caller("failures");
    const { id } = await connected(stage, who, "Before", { write: true });
    const code = (await approve(stage, id, who, "write")).searchParams.get("code") ?? "";
    const { etag } = await stage.cases.complete(who, id, { code });
    const off = await stage.cases.update(who, id, etag, { access: { write: false } });
    stage.microsoft.rolesFailures = [new AppError("sign-in-unavailable")];
    const change = { displayName: "After", access: { write: true } };
    expect(await codeOf(stage.cases.update(who, id, off.etag, change))).toBe("sign-in-unavailable");
    expect(await codeOf(stage.draft(who, "Before"))).toBe("name-taken");
    expect(await codeOf(stage.draft(who, "After"))).toBe("none");
  });

  test("cannot switch reading off, nor say something unknown", () => {
    expect(UpdateConnection.safeParse({ access: { read: false } }).success).toBe(false);
    expect(UpdateConnection.safeParse({ state: "active" }).success).toBe(false);
  });

  test("switches a tier off at once and says that the grant remains; on again without a new approval", async () => {
    const all = [...readRoles, "User.ReadWrite.All", "Group.ReadWrite.All"];
    stage.microsoft.granted = all;
    const who = caller();
    const { id } = await connected(stage, who, newName(), { write: true });
    const code = (await approve(stage, id, who, "write")).searchParams.get("code") ?? "";
    const active = await stage.cases.complete(who, id, { code });
    const { epoch } = await headOf(id);

    const off = await stage.cases.update(who, id, active.etag, { access: { write: false } });
    expect(off.access.write).toEqual({ wanted: false, state: "off", missing: [] });
    expect(off.notices.map((notice) => notice.code)).toEqual(["grant-remains"]);
    expect((await headOf(id)).epoch).toBe(epoch + 1);

    const on = await stage.cases.update(who, id, off.etag, { access: { write: true } });
    expect(on).toMatchObject({ access: { write: { wanted: true, state: "active" } }, notices: [] });
    expect((await stage.log(id)).slice(-2)).toMatchObject([
      {
        kind: "tier",
        object: "write",
        changes: [
          { field: "wanted", before: true, after: false },
          { field: "state", before: "active", after: "off" },
        ],
      },
      {
        kind: "tier",
        object: "write",
        changes: [
          { field: "wanted", before: false, after: true },
          { field: "state", before: "off", after: "active" },
        ],
      },
    ]);

    stage.microsoft.granted = readRoles;
    const again = await stage.cases.update(who, id, on.etag, { access: { write: false } });
    const lost = await stage.cases.update(who, id, again.etag, { access: { write: true } });
    expect(lost.access.write.state).toBe("consent-needed");
    expect(lost.notices.map((notice) => notice.code)).toEqual(["consent-needed"]);
  });

  test("asks Microsoft nothing for a tier that nobody approved here", async () => {
    const { id, etag } = await connected(stage, caller(), newName());
    stage.microsoft.asked = [];
    stage.microsoft.granted = [...readRoles, "User.ReadWrite.All", "Group.ReadWrite.All"];
    const on = await stage.cases.update(caller(), id, etag, { access: { write: true } });
    expect(on.access.write.state).toBe("consent-needed");
    expect(stage.microsoft.asked).toEqual([]);
  });
});

describe("settings", () => {
  const off: Settings = { ...defaultSettings, automatic: false, intervalMinutes: 60, paused: false };

  test("need their own ETag, which a new name does not change", async () => {
    const { id, etag } = await stage.draft(caller(), newName());
    const before = await stage.cases.readSettings(caller(), id);
    await stage.cases.update(caller(), id, etag, { displayName: newName() });
    expect(await codeOf(stage.cases.changeSettings(caller(), id, undefined, off))).toBe("etag-required");
    const after = await stage.cases.changeSettings(caller(), id, before.etag, off);
    expect(after).toEqual({ ...off, version: 2, etag: '"2"' });
    expect(await codeOf(stage.cases.changeSettings(caller(), id, before.etag, { ...off, paused: true }))).toBe(
      "etag-mismatch",
    );
  });

  test("of two changes from the same state take one", async () => {
    const { id } = await stage.draft(caller(), newName());
    const changes = [60, 120].map((intervalMinutes) =>
      codeOf(stage.cases.changeSettings(caller(), id, '"1"', { ...off, intervalMinutes })),
    );
    expect((await Promise.all(changes)).toSorted()).toEqual(["etag-mismatch", "none"]);
  });

  test("send the guard to sleep for a week at most, and say so field by field", async () => {
    const { id } = await stage.draft(caller(), newName());
    const guard = (days: number) => ({
      ...off.guard,
      offUntil: new Date(stage.ambient.now() + days * 86_400_000).toISOString(),
    });
    const change = (days: number) =>
      stage.cases.changeSettings(caller(), id, '"1"', { ...defaultSettings, guard: guard(days) });
    expect(await codeOf(change(7.1))).toBe("invalid-request");
    const { guard: asleep } = await change(6.9);
    expect((await stage.log(id)).at(-1)).toMatchObject({
      changes: [{ field: "guard.offUntil", before: null, after: asleep.offUntil }],
    });
  });

  test("leave a record of each field, before and after, and of who it was", async () => {
    const { id } = await stage.draft(caller(), newName());
    await stage.cases.changeSettings(caller(), id, '"1"', off);
    expect((await stage.log(id)).at(-1)).toEqual({
      kind: "settings",
      op: "updated",
      object: "connection",
      cause: "api",
      changes: [
        { field: "automatic", before: true, after: false },
        { field: "intervalMinutes", before: 1440, after: 60 },
      ],
      actor: { subject: "alice", ip: "192.0.2.1" },
    });
  });

  test("that change nothing write nothing", async () => {
    const { id } = await stage.draft(caller(), newName());
    const { _etag } = await headOf(id);
    await stage.cases.changeSettings(caller(), id, '"1"', {
      ...defaultSettings,
      automatic: true,
      intervalMinutes: 1440,
      paused: false,
    });
    expect((await headOf(id))._etag).toBe(_etag);
  });

  test("are true when the call has returned: a run that began before commits nothing more", async () => {
    const { id } = await connected(stage, caller(), newName());
    const now = stage.ambient.now();
    const claimed = await stage.store.claim(id, { owner: "worker", now, leaseUntil: now + 60_000 });
    if (!claimed) throw new Error("the lease was not free");
    await stage.cases.changeSettings(caller(), id, '"1"', { ...off, paused: true });
    const late = await commit(stage.needs, claimed, { worker: { owner: "worker", epoch: claimed.epoch } });
    expect(late.outcome).toBe("superseded");
    expect(await headOf(id)).toMatchObject({ wakeAt: null, dueAt: null });
  });

  test("make an unpaused connection due at once, with a hint; a draft never", async () => {
    const { id } = await connected(stage, caller(), newName());
    const paused = await stage.cases.changeSettings(caller(), id, '"1"', { ...off, automatic: true, paused: true });
    stage.hinted.length = 0;
    await stage.cases.changeSettings(caller(), id, paused.etag, { ...off, automatic: true });
    expect(stage.hinted.map(({ connectionId }) => connectionId)).toEqual([id]);
    const draft = await stage.draft(caller(), newName());
    await stage.cases.changeSettings(caller(), draft.id, '"1"', { ...off, automatic: true });
    expect((await headOf(draft.id)).wakeAt).toBeNull();
    expect(stage.hinted).toHaveLength(1);
  });

  const now = 1_800_000_000_000;
  const on: Settings = { ...defaultSettings, automatic: true, intervalMinutes: 60, paused: false };
  const requested = { runId: "r", mode: "full" as const, cause: "manual" as const, at: now - 1 };
  const later = nextDue("c", on, now);
  test.each<[string, Settings, Settings, typeof requested | null, { dueAt: number | null; wakeAt: number | null }]>([
    ["pausing", on, { ...on, paused: true }, null, { dueAt: null, wakeAt: null }],
    ["pausing with a run asked for", on, { ...on, paused: true }, requested, { dueAt: null, wakeAt: null }],
    ["unpausing", { ...on, paused: true }, on, null, { dueAt: now, wakeAt: now }],
    ["unpausing without a schedule", { ...off, paused: true }, off, null, { dueAt: null, wakeAt: null }],
    ["switching the schedule off", on, off, null, { dueAt: null, wakeAt: null }],
    ["switching the schedule off with a run asked for", on, off, requested, { dueAt: null, wakeAt: now }],
    ["switching the schedule on", off, on, null, { dueAt: later, wakeAt: later }],
    ["another interval", { ...on, intervalMinutes: 5 }, on, null, { dueAt: later, wakeAt: later }],
    [
      "another interval with a run asked for",
      { ...on, intervalMinutes: 5 },
      on,
      requested,
      { dueAt: later, wakeAt: now },
    ],
  ])("%s", (_what, before, after, asked, expected) => {
    const head = { connectionId: "c", run: null, requested: asked, dueAt: null };
    expect(scheduleAfter(head, before, after, now)).toEqual(expected);
  });

  test("a run that another setting makes void is due again at once, also one that has written nothing yet", () => {
    const head = { connectionId: "c", run: null, requested: null, dueAt: now - 5 };
    const another = { ...on, intervalMinutes: 30 };
    expect(scheduleAfter(head, on, another, now)).toEqual({ dueAt: now, wakeAt: now });
    expect(scheduleAfter(head, on, off, now)).toEqual({ dueAt: null, wakeAt: null });
    expect(scheduleAfter({ ...head, dueAt: now + 5 }, on, on, now)).toEqual({ dueAt: later, wakeAt: later });
  });
});
