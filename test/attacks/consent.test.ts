/** Attacks on the way from a link to an approval: other tiers, other tenants, other browsers, the same secret twice. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { DisplayName } from "../../src/core/connections/name.ts";
import type { Tier } from "../../src/core/connections/tiers.ts";
import type { SignedIn } from "../../src/core/consent/ports.ts";
import { ids } from "../../src/core/store/documents.ts";
import { type AccessFilter, readAccess } from "../../src/core/views/access-trail.ts";
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
    expect(await stage.work(id)).toBe("nothing-due");
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

/** Through the callbacks with whatever Microsoft says of the account; the code that the product is told. */
const refusalOf = async (id: string, tier: Tier = "read"): Promise<string | null> =>
  (await approve(stage, id, caller(), tier)).searchParams.get("error");

describe("somebody who is not the administrator of an organisation", () => {
  const long = -3600;
  test.each<[string, Tier, Partial<SignedIn>, string]>([
    ["a guest with an administrator's role", "read", { acct: 1 }, "consent-guest"],
    [
      "a guest whose account says nothing of it but its issuer",
      "read",
      { idp: "https://sts.example/" },
      "consent-guest",
    ],
    ["an account of which it is not known whether it is a guest", "read", { acct: null }, "consent-not-administrator"],
    ["a personal account", "read", { tid: "9188040d-6c67-4c5b-b112-36a304b66dad" }, "consent-sign-in-failed"],
    ["an organisation by another name than its id", "read", { tid: "fabrikam.example" }, "consent-sign-in-failed"],
    ["an account of which the roles are not told", "read", { wids: null }, "consent-not-administrator"],
    ["an account without a role", "read", { wids: [] }, "consent-not-administrator"],
    [
      "an application administrator, for the whole directory",
      "read",
      { wids: [applicationAdministrator] },
      "consent-not-administrator",
    ],
    [
      "an application administrator, for changing it",
      "write",
      { wids: [applicationAdministrator] },
      "consent-not-administrator",
    ],
    ["a session that was left open", "read", { authTime: long }, "sign in again"],
    ["a sign-in of unknown age", "read", { authTime: null }, "sign in again"],
    ["a sign-in that is yet to come", "read", { authTime: -long }, "sign in again"],
  ])("%s", async (_what, tier, told, outcome) => {
    const { id } = await stage.draft(caller(), newName(), { write: true });
    const nowSeconds = Math.floor(stage.ambient.now() / 1000);
    const { authTime = 0 } = told;
    Object.assign(stage.microsoft.person, told, { authTime: authTime === null ? null : nowSeconds + authTime });
    const signIn = await asFarAsSignIn(stage, id, caller(), tier);
    const { redirect } = await stage.cases.signIn(answerTo(signIn, signedIn), visitor);
    if (outcome === "sign in again") {
      expect(new URL(redirect).searchParams.get("prompt")).toBe("login");
      const again = await stage.cases.signIn(answerTo(redirect, signedIn), visitor);
      expect(new URL(again.redirect).searchParams.get("error")).toBe("consent-sign-in-failed");
    } else expect(new URL(redirect).searchParams.get("error")).toBe(outcome);
    expect(await stage.cases.read(caller(), id)).toMatchObject({ state: "draft", tid: null });
    expect(await stage.store.read(id, "proof", ids.unconfirmedProof(tier))).toBeNull();
    expect(stage.microsoft.asked).not.toContain(`roles ${tier} ${tenantA}`);
  });

  test("an application administrator may approve signing in, and nothing else with it", async () => {
    const { id } = await stage.draft(caller(), newName(), { signIn: true, write: true });
    stage.microsoft.person.wids = [applicationAdministrator];
    const code = codeIn(await approve(stage, id, caller(), "signIn"));
    const view = await stage.cases.complete(caller(), id, { code });
    expect(view.access).toMatchObject({
      read: { state: "consent-needed" },
      write: { state: "consent-needed" },
      signIn: { state: "active" },
    });
    expect([await refusalOf(id), await refusalOf(id, "write")]).toEqual([
      "consent-not-administrator",
      "consent-not-administrator",
    ]);
  });
});

describe("an answer that Microsoft did not send to this attempt", () => {
  const elsewhere = { ...visitor, cookie: "d".repeat(43) };
  const without = { ...visitor, cookie: undefined };

  test("made up, with the victim's organisation in it: there is no attempt for it", async () => {
    for (const state of ["", "x", "a".repeat(43), browserCookie])
      expect(await codeOf(stage.cases.consent(new URLSearchParams({ state, ...approved(tenantA) }), visitor))).toBe(
        "consent-attempt-unusable",
      );
  });

  test("begun in the attacker's browser and finished in the victim's: Microsoft is not even asked", async () => {
    const { id } = await stage.draft(caller("evil", "mallory"), newName());
    const fixed = await asFarAsSignIn(stage, id, caller("evil", "mallory"));
    for (const victim of [elsewhere, without])
      expect(await codeOf(stage.cases.signIn(answerTo(fixed, signedIn), victim))).toBe("consent-attempt-unusable");
    expect(stage.microsoft.asked).toEqual([]);
    const approval = (await stage.cases.signIn(answerTo(fixed, signedIn), visitor)).redirect;
    for (const victim of [elsewhere, without])
      expect(await codeOf(stage.cases.consent(answerTo(approval, approved(tenantA)), victim))).toBe(
        "consent-attempt-unusable",
      );
    expect((await stage.cases.read(caller("evil", "mallory"), id)).state).toBe("draft");
  });

  test("of two attempts in one browser, swapped: each ends as what it was begun for", async () => {
    const one = await stage.draft(caller(), newName());
    const other = await stage.draft(caller(), newName());
    const begin = async (id: string) =>
      (await stage.cases.signIn(answerTo(await asFarAsSignIn(stage, id), signedIn), visitor)).redirect;
    const [first, second] = [await begin(one.id), await begin(other.id)];
    const back = async (redirect: string) =>
      new URL((await stage.cases.consent(answerTo(redirect, approved(tenantA)), visitor)).redirect).searchParams;
    const [fromSecond, fromFirst] = [await back(second), await back(first)];
    expect([fromFirst.get("connection"), fromSecond.get("connection")]).toEqual([one.id, other.id]);
    const code = fromSecond.get("code") ?? "";
    expect(await codeOf(stage.cases.complete(caller(), one.id, { code }))).toBe("consent-attempt-unusable");
    expect((await stage.cases.read(caller(), one.id)).state).toBe("proven");
  });

  test("from another organisation than the one that signed in", async () => {
    const { id } = await stage.draft(caller(), newName());
    const { redirect } = await stage.cases.signIn(answerTo(await asFarAsSignIn(stage, id), signedIn), visitor);
    const back = new URL((await stage.cases.consent(answerTo(redirect, approved(tenantB)), visitor)).redirect);
    expect(back.searchParams.get("error")).toBe("consent-wrong-tenant");
    expect(stage.microsoft.asked).toEqual(["redeem"]);
  });

  test("to be sent on to a place of the attacker's: the address is the one that was registered at the start", async () => {
    const { id } = await stage.draft(caller(), newName());
    const signIn = await asFarAsSignIn(stage, id);
    const lured = { ...signedIn, returnUrl: "https://evil.example/", redirect_uri: "https://evil.example/" };
    const { redirect } = await stage.cases.signIn(answerTo(signIn, lured), visitor);
    const answer = answerTo(redirect, { ...approved(tenantA), returnUrl: "https://evil.example/" });
    const back = new URL((await stage.cases.consent(answer, visitor)).redirect);
    expect(back.origin).toBe("https://product.example");
    expect(back.href).not.toContain("evil");
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
  const trailOf = async (connection: string, filter: AccessFilter = {}) => {
    const auditor = { ...caller("attacker", "mallory"), permissions: new Set(["audit:read"] as const) };
    return (await readAccess(stage.needs)(auditor, { connection, ...filter }, { limit: 100 })).items;
  };

  test("tells whoever sent the link neither the tenant nor the person nor the address", async () => {
    const mallory = caller("attacker", "mallory");
    const { id } = await stage.draft(mallory, newName());
    const lured = codeIn(await approve(stage, id, mallory));
    const { oid } = stage.microsoft.person;
    const secrets = [tenantA, oid, visitor.ip];
    const assertNothingTold = async () => {
      const told = JSON.stringify(await feedOf(id, "directory:read", "audit:read"));
      const trail = JSON.stringify(await trailOf(id));
      for (const secret of secrets) for (const text of [told, trail]) expect(text).not.toContain(secret);
      expect(told).toContain('"content":"withheld"');
      expect(trail).toContain('"what":"sign-in","route":"connect.read","actor":null');
      // Nor does a guess tell whether it was right.
      expect(await trailOf(id, { actor: `entra:${tenantA}:${oid}` })).toEqual([]);
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
    for (const told of [items, await trailOf(id)]) expect(JSON.stringify(told)).toContain(`entra:${tenantA}:`);
    const plain = JSON.stringify((await feedOf(id, "directory:read")).items);
    expect(plain).toContain(tenantA);
    for (const hidden of ["entra:", visitor.ip, '"actor"']) expect(plain).not.toContain(hidden);
  });
});

describe("an approval on a connection that is in use, which nobody confirms", () => {
  const another = {
    oid: "eeeeeeee-0000-4000-8000-000000000005",
    name: "Lured Lee",
    preferredUsername: "lee@fabrikam.example",
  };
  const auditor = { ...caller(), permissions: new Set(["integration:read", "audit:read"] as const) };
  const approverOf = async (id: string, tier: Tier) =>
    (await stage.cases.permissions(auditor, id)).find((shown) => shown.tier === tier)?.approvedBy;

  test("takes nobody's place, extends nothing and names nobody", async () => {
    const { id } = await connected(stage, caller(), newName());
    const asOfOld = [{ op: "set" as const, path: "/roles", value: readRoles.slice(0, 2) }];
    await stage.cosmos.directory.item(ids.proof("read"), id).patch(asOfOld);
    const inForce = await stage.store.read(id, "proof", ids.proof("read"));
    Object.assign(stage.microsoft.person, another);
    await approve(stage, id);
    expect(await stage.store.read(id, "proof", ids.proof("read"))).toEqual(inForce);
    expect((await approverOf(id, "read"))?.name).toBe("Ada Minh");
    const [read] = await stage.cases.permissions(caller(), id);
    expect(read).toMatchObject({ effective: { state: "degraded", missing: ["Organization.Read.All"] } });
    expect(read).not.toHaveProperty("approvedBy");
    // What was not confirmed is gone by itself.
    expect(await stage.store.read(id, "proof", ids.unconfirmedProof("read"))).not.toBeNull();
    stage.ambient.advance(1_201_000);
    expect(await stage.store.read(id, "proof", ids.unconfirmedProof("read"))).toBeNull();
  });

  test("counts from the moment in which it is confirmed", async () => {
    const { id } = await connected(stage, caller(), newName());
    Object.assign(stage.microsoft.person, another);
    await stage.cases.complete(caller(), id, { code: codeIn(await approve(stage, id)) });
    expect(await approverOf(id, "read")).toEqual({
      oid: another.oid,
      name: another.name,
      userPrincipalName: another.preferredUsername,
    });
    expect(await stage.store.read(id, "proof", ids.unconfirmedProof("read"))).toBeNull();
  });
});

describe("two workspaces with one tenant", () => {
  const writeRoles = ["User.ReadWrite.All", "Group.ReadWrite.All"];

  test("each tier takes its own approval on each connection; switching, asking and the review change nothing in that", async () => {
    stage.microsoft.granted = [...readRoles, ...writeRoles];
    const [ann, ben] = [caller("one", "ann"), caller("two", "ben")];
    const first = await connected(stage, ann, newName(), { write: true, signIn: true });
    for (const tier of ["write", "signIn"] as const)
      await stage.cases.complete(ann, first.id, { code: codeIn(await approve(stage, first.id, ann, tier)) });
    const second = await connected(stage, ben, newName(), { write: true, signIn: true });
    const statesOf = async () => {
      const { access } = await stage.cases.read(ben, second.id);
      return [access.write.state, access.signIn.state];
    };
    expect(await statesOf()).toEqual(["consent-needed", "consent-needed"]);
    for (const on of [false, true]) {
      const { etag } = await stage.cases.read(ben, second.id);
      await stage.cases.update(ben, second.id, etag, { access: { write: on, signIn: on } });
    }
    const due = [
      { op: "set" as const, path: "/reviewAt", value: 1 },
      { op: "set" as const, path: "/dueAt", value: null },
    ];
    await stage.cosmos.directory.item(ids.head, second.id).patch(due);
    stage.microsoft.asked = [];
    expect(await stage.work(second.id)).toBe("nothing-due");
    expect(stage.microsoft.asked).toEqual([`roles read ${tenantA}`]);
    expect(await statesOf()).toEqual(["consent-needed", "consent-needed"]);
    expect((await stage.cases.read(ann, first.id)).access.write.state).toBe("active");
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
