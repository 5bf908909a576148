/** Attacks on the way from a link to an approval: other tiers, other tenants, other browsers, the same secret twice. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { DisplayName } from "../../src/core/connections/name.ts";
import { work } from "../../src/core/directory/run/worker.ts";
import { ids } from "../../src/core/store/documents.ts";
import { readChanges } from "../../src/core/views/changes.ts";
import { requestRun } from "../../src/core/views/runs.ts";
import {
  answerTo,
  approve,
  approved,
  asFarAsSignIn,
  browserCookie,
  caller,
  codeOf,
  connected,
  FakeMicrosoft,
  openStage,
  readRoles,
  returnUrl,
  type Stage,
  setUp,
  signedIn,
  tenantA,
  tenantB,
  visitor,
} from "../core/connections-stage.ts";

const applicationAdministrator = "9b895d92-2cd3-44c7-9d02-a6ac2d5ea5c3";

let stage: Stage;
let name = 0;
const newName = () => `Attack ${(name += 1)}`;
const codeIn = (address: URL): string => address.searchParams.get("code") ?? "";

beforeAll(async () => {
  stage = await openStage();
});
afterAll(() => stage.close());
beforeEach(() => {
  Object.assign(stage.microsoft, new FakeMicrosoft(stage.ambient.now), { granted: [...readRoles] });
  stage.hinted.length = 0;
});

const headOf = (id: string) => stage.store.read(id, "head", ids.head);

describe("an approval of signing in, where another workspace has obtained the right to read", () => {
  /** Whoever asks Microsoft for anything with this is found out. */
  const worker = () =>
    work({
      ...stage.needs,
      source: new Proxy({} as Parameters<typeof work>[0]["source"], {
        get: (_, property) => {
          throw new Error(`the directory was asked for: ${String(property)}`);
        },
      }),
      work: { put: () => Promise.reject(new Error("put")), get: () => Promise.resolve(null), drop: async () => {} },
      contextFor: async (doc) => (await stage.cases.open(doc.workspaceId, doc.connectionId)).context,
      selfTest: () => Promise.reject(new Error("self-test")),
      finishClosing: async () => {},
      finishErasing: async () => {},
    });

  const signInOnly = async () => {
    await connected(stage, caller("victim", "vera"), newName());
    const mallory = caller("attacker", "mallory");
    stage.microsoft.person = { ...stage.microsoft.person, wids: [applicationAdministrator] };
    const { id } = await stage.draft(mallory, newName(), { signIn: true });
    const refused = await approve(stage, id, mallory, "read");
    expect(refused.searchParams.get("error")).toBe("consent-not-administrator");
    const view = await stage.cases.complete(mallory, id, {
      code: codeIn(await approve(stage, id, mallory, "signIn")),
    });
    expect(view).toMatchObject({ state: "active", access: { read: { state: "consent-needed" } } });
    stage.hinted.length = 0;
    return { id, mallory };
  };

  test("starts no run: not by asking, not by the settings, not by taking a deletion back", async () => {
    const { id, mallory } = await signInOnly();
    expect(await codeOf(requestRun(stage.needs)(mallory, id, { mode: "full" }))).toBe("state-conflict");
    for (const paused of [true, false]) {
      const { version: _, etag, ...settings } = await stage.cases.readSettings(mallory, id);
      await stage.cases.changeSettings(mallory, id, etag, { ...settings, intervalMinutes: 5, paused });
    }
    const { displayName } = await stage.cases.read(mallory, id);
    await stage.cases.close(mallory, id, { displayName });
    await stage.cases.restore(mallory, id);
    expect(await headOf(id)).toMatchObject({ dueAt: null, wakeAt: null, requested: null });
    expect(stage.hinted).toEqual([]);
  });

  test("lets no worker at the directory, whatever is due, and hands nobody the tenant", async () => {
    const { id } = await signInOnly();
    expect((await stage.cases.open("attacker", id)).context.tid).toBe("");
    const due = { op: "set" as const, path: "/dueAt", value: 1 };
    await stage.cosmos.directory.item(ids.head, id).patch([due]);
    expect(await worker()({ connectionId: id, receivedAt: stage.ambient.now() })).toBe("nothing-due");
    expect((await headOf(id))?.run).toBeNull();
  });

  test("ends when an administrator who may approves reading on this very connection", async () => {
    const { id, mallory } = await signInOnly();
    await setUp(stage, id);
    Object.assign(stage.microsoft, new FakeMicrosoft(stage.ambient.now), { granted: [...readRoles] });
    await stage.cases.complete(mallory, id, { code: codeIn(await approve(stage, id, mallory, "read")) });
    expect((await stage.cases.open("attacker", id)).context.tid).toBe(tenantA);
    expect(stage.hinted.map(({ connectionId }) => connectionId)).toEqual([id]);
  });
});

describe("a secret that is used many times at once", () => {
  const outcomesOf = async (calls: Promise<unknown>[]): Promise<string[]> => {
    const codes = await Promise.all(calls.map((call) => codeOf(call)));
    return codes.toSorted();
  };
  const oncePassed = ["consent-attempt-unusable", "consent-attempt-unusable", "consent-attempt-unusable", "none"];

  test("opens one sign-in, one approval, one redemption", async () => {
    const who = caller();
    const { id } = await stage.draft(who, newName());
    const { connectUrl } = await stage.cases.start(who, id, { tier: "read", returnUrl });
    const ticket = connectUrl.split("/").at(-1) ?? "";
    let signIn = "";
    const opened = [1, 2, 3, 4].map(async () => {
      signIn = (await stage.cases.continue(ticket, browserCookie)).redirect;
    });
    expect(await outcomesOf(opened)).toEqual(oncePassed);

    let consent = "";
    const answered = [1, 2, 3, 4].map(async () => {
      consent = (await stage.cases.signIn(answerTo(signIn, signedIn), visitor)).redirect;
    });
    expect(await outcomesOf(answered)).toEqual(oncePassed);

    let back = "";
    const proven = [1, 2, 3, 4].map(async () => {
      back = (await stage.cases.consent(answerTo(consent, approved(tenantA)), visitor)).redirect;
    });
    expect(await outcomesOf(proven)).toEqual(oncePassed);

    const code = codeIn(new URL(back));
    const redeemed = [1, 2, 3, 4].map(() => stage.cases.complete(who, id, { code }));
    expect(await outcomesOf(redeemed)).toEqual(oncePassed);
  });

  test("is good for its own step only", async () => {
    const { id } = await stage.draft(caller(), newName());
    const state = new URL(await asFarAsSignIn(stage, id)).searchParams.get("state") ?? "";
    expect(await codeOf(stage.cases.complete(caller(), id, { code: state }))).toBe("consent-attempt-unusable");
    expect(await codeOf(stage.cases.show(state, undefined))).toBe("consent-attempt-unusable");
    const asConsent = new URLSearchParams({ state, ...approved(tenantA) });
    expect(await codeOf(stage.cases.consent(asConsent, visitor))).toBe("consent-attempt-unusable");
    // None of it has spent the state.
    const asMeant = new URLSearchParams({ state, ...signedIn });
    expect((await stage.cases.signIn(asMeant, visitor)).redirect).toContain("/adminconsent");
  });
});

describe("an approval that the workspace never confirmed", () => {
  const feedOf = (id: string, ...permissions: ("directory:read" | "audit:read")[]) =>
    readChanges(stage.needs)({ ...caller("attacker", "mallory"), permissions: new Set(permissions) }, id, {
      after: 0,
      limit: 100,
      waitSeconds: 0,
    });

  test("tells whoever sent the link neither the tenant nor the person nor the address", async () => {
    const mallory = caller("attacker", "mallory");
    const { id } = await stage.draft(mallory, newName());
    const lured = codeIn(await approve(stage, id, mallory));
    const secrets = [tenantA, stage.microsoft.person.oid, visitor.ip];
    const assertNothingTold = async () => {
      const told = JSON.stringify(await feedOf(id, "directory:read", "audit:read"));
      for (const secret of secrets) expect(told).not.toContain(secret);
      expect(told).toContain('"content":"withheld"');
    };
    await assertNothingTold();
    // Confirming an approval of another tenant, the attacker's own, does not open the first one.
    stage.microsoft.person = { ...stage.microsoft.person, tid: tenantB, oid: "dddddddd-0000-4000-8000-000000000004" };
    const own = codeIn(await approve(stage, id, mallory));
    expect(await codeOf(stage.cases.complete(mallory, id, { code: lured }))).toBe("consent-attempt-unusable");
    await stage.cases.complete(mallory, id, { code: own });
    secrets.pop();
    await assertNothingTold();
  });

  test("is told in full once it is confirmed, and the person only to who may read the audit", async () => {
    const mallory = caller("attacker", "mallory");
    const { id } = await stage.draft(mallory, newName());
    await stage.cases.complete(mallory, id, { code: codeIn(await approve(stage, id, mallory)) });
    const { items } = await feedOf(id, "audit:read");
    expect(items.map(({ content }) => content)).not.toContain("withheld");
    expect(JSON.stringify(items)).toContain(`entra:${tenantA}:`);
    const plain = JSON.stringify((await feedOf(id, "directory:read")).items);
    expect(plain).toContain(tenantA);
    for (const hidden of ["entra:", visitor.ip, '"actor"']) expect(plain).not.toContain(hidden);
  });
});

describe("text on our page", () => {
  test.each<[string, string]>([
    ["nothing that can be seen", "\u200b\u200d\u2060"],
    ["a filler", "\u3164"],
    ["a reversal", "moc.\u202eevil"],
    ["an Arabic letter mark", "a\u061cb"],
    ["a zero-width space", "Head\u200boffice"],
    ["a byte order mark", "\ufeffHead office\ufeff."],
    ["half a character", "Head\ud800office"],
    ["a line break", "Head\u2028office"],
  ])("is no connection name with %s", (_, displayName) => {
    expect(DisplayName.safeParse(displayName).success).toBe(false);
  });

  test.each(["نام‌خانوادگی", "👩‍🚀 team ❤️", "葛󠄀城市"])("may be %s", async (displayName) => {
    const who = caller("scripts", "alice");
    expect((await stage.draft(who, displayName)).displayName).toBe(displayName);
  });

  test("cannot be told apart from another name of the workspace by joiners alone", async () => {
    const who = caller("twins", "alice");
    await stage.draft(who, "Head office");
    expect(await codeOf(stage.draft(who, "Head\u200d office"))).toBe("name-taken");
  });

  test("shows what a requester's name tries to hide", async () => {
    const who = caller("acme", "ada\u202emoc.live@\u200b");
    const { id } = await stage.draft(who, newName());
    const { connectUrl } = await stage.cases.start(who, id, { tier: "read", returnUrl });
    const shown = await stage.cases.show(connectUrl.split("/").at(-1) ?? "", undefined);
    expect(shown.requester).toBe("ada\ufffdmoc.live@\ufffd");
  });
});
