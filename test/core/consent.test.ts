import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { defaultSettings } from "../../src/core/connections/settings.ts";
import { hashOf } from "../../src/core/consent/handshakes.ts";
import { AppError } from "../../src/core/errors.ts";
import {
  answerTo,
  approve,
  approved,
  asFarAsSignIn,
  browserCookie,
  caller,
  codeOf,
  connected,
  edit,
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
} from "./connections-stage.ts";

let stage: Stage;
let name = 0;
/** Its setup is finished, so that an approval starts what there is to start. */
const draft = async (who = caller(), access: object = {}) => {
  const made = await stage.draft(who, `Connection ${(name += 1)}`, access);
  await setUp(stage, made.id);
  return made;
};
const connect = (who = caller(), access: object = {}) => connected(stage, who, `Connection ${(name += 1)}`, access);
const outcome = (address: URL): string =>
  address.searchParams.get("error") ?? (address.searchParams.has("code") ? "code" : "neither");
const codeIn = (address: URL): string => address.searchParams.get("code") ?? "";
const ticketOf = (connectUrl: string): string => connectUrl.split("/").at(-1) ?? "";

beforeAll(async () => {
  stage = await openStage();
});
afterAll(() => stage.close());
beforeEach(() => {
  Object.assign(stage.microsoft, new FakeMicrosoft(stage.ambient.now), { granted: [...readRoles] });
  stage.hinted.length = 0;
  stage.waited.length = 0;
});

describe("the whole way", () => {
  test("leads from a draft over proven to active, and only then to a tenant, a due sync and a hint", async () => {
    const { id, state } = await draft();
    expect(state).toBe("draft");
    const ended = await approve(stage, id);
    expect(ended.href.startsWith(returnUrl)).toBe(true);
    expect(ended.searchParams.get("connection")).toBe(id);

    const proven = await stage.cases.read(caller(), id);
    expect(proven).toMatchObject({ state: "proven", tid: null, nextSyncAt: null });
    expect((await stage.cases.open("acme", id)).context.tid).toBe("");
    expect(stage.hinted).toEqual([]);

    const active = await stage.cases.complete(caller(), id, { code: codeIn(ended) });
    expect(active).toMatchObject({
      state: "active",
      tid: tenantA,
      access: { read: { wanted: true, state: "active", missing: [] } },
    });
    expect(Date.parse(active.nextSyncAt ?? "")).toBeLessThanOrEqual(stage.ambient.now());
    expect(stage.hinted.map(({ connectionId }) => connectionId)).toEqual([id]);
    expect((await stage.cases.open("acme", id)).context.tid).toBe(tenantA);
  });

  test("asks Microsoft for nothing but token roles and the organisation, and only of the tenant that signed in", async () => {
    await connect();
    expect(stage.microsoft.asked).toEqual(["redeem", `roles read ${tenantA}`, `organization ${tenantA}`]);
  });

  test("puts the ring under a key of the connection's own when it is proven", async () => {
    const { id } = await draft();
    expect((await stage.store.read(id, "ring", "ring"))?.generation).toBeNull();
    expect(stage.secrets.values.has(`c-${id}-k1`)).toBe(false);
    await approve(stage, id);
    expect((await stage.store.read(id, "ring", "ring"))?.generation).toBe(1);
    expect(stage.secrets.values.has(`c-${id}-k1`)).toBe(true);
  });

  test("leaves a record of who approved and who confirmed, with their addresses", async () => {
    const { id } = await connect();
    const log = await stage.log(id);
    const actors = log.map(({ kind, actor }) => [kind, actor?.subject, actor?.ip]);
    const administrator = `entra:${tenantA}:${stage.microsoft.person.oid}`;
    expect(actors).toEqual([
      ["connection", "alice", "192.0.2.1"],
      ["tier", administrator, "198.51.100.7"],
      ["connection", administrator, "198.51.100.7"],
      ["tier", "alice", "192.0.2.1"],
    ]);
    const proof = await stage.store.read(id, "proof", "proof:read");
    expect(proof).toMatchObject({ tid: tenantA, clientId: "client-read", roles: readRoles.toSorted() });
    // As a word: three letters in a row come by chance, where something is sealed.
    expect(JSON.stringify(proof)).not.toMatch(/\bAda\b/);
  });

  test("does not start a sync when the schedule is off", async () => {
    const { id } = await draft();
    const { etag } = await stage.cases.readSettings(caller(), id);
    await stage.cases.changeSettings(caller(), id, etag, {
      ...defaultSettings,
      automatic: false,
      intervalMinutes: 60,
      paused: false,
    });
    const view = await stage.cases.complete(caller(), id, { code: codeIn(await approve(stage, id)) });
    expect(view).toMatchObject({ state: "active", nextSyncAt: null });
    expect(stage.hinted).toEqual([]);
  });
});

describe("a link that was mailed to somebody else's administrator", () => {
  test("ends without effect: the code comes back in the other browser, is not theirs, and is spent", async () => {
    const attacker = caller("evil", "mallory");
    const { id } = await draft(attacker);
    const ended = await approve(stage, id, attacker);
    expect(await codeOf(stage.cases.complete(caller("acme", "alice"), id, { code: codeIn(ended) }))).toBe(
      "consent-not-yours",
    );
    expect(await codeOf(stage.cases.complete(attacker, id, { code: codeIn(ended) }))).toBe("consent-attempt-unusable");
    expect(await stage.cases.read(attacker, id)).toMatchObject({ state: "proven", tid: null });
  });

  test("is refused to another person of the same workspace", async () => {
    const { id } = await draft();
    const ended = await approve(stage, id);
    expect(await codeOf(stage.cases.complete(caller("acme", "bob"), id, { code: codeIn(ended) }))).toBe(
      "consent-not-yours",
    );
  });

  test("is refused to somebody of another workspace who goes by the same subject", async () => {
    const { id } = await draft();
    const ended = await approve(stage, id);
    expect(await codeOf(stage.cases.complete(caller("other", "alice"), id, { code: codeIn(ended) }))).toBe(
      "consent-not-yours",
    );
  });

  test("is not brought to life by switching the tier off and on again", async () => {
    const { id } = await connect(caller(), { write: true });
    stage.microsoft.granted = [...readRoles, "User.ReadWrite.All", "Group.ReadWrite.All"];
    const code = codeIn(await approve(stage, id, caller(), "write"));
    const before = await stage.cases.read(caller(), id);
    const off = await stage.cases.update(caller(), id, before.etag, { access: { write: false } });
    const on = await stage.cases.update(caller(), id, off.etag, { access: { write: true } });
    expect(on.access.write.state).toBe("consent-needed");
    expect(await codeOf(stage.cases.complete(caller(), id, { code }))).toBe("consent-attempt-unusable");
  });
});

describe("the one-time code", () => {
  test("works once", async () => {
    const { id } = await draft();
    const code = codeIn(await approve(stage, id));
    await stage.cases.complete(caller(), id, { code });
    expect(await codeOf(stage.cases.complete(caller(), id, { code }))).toBe("consent-attempt-unusable");
  });

  test("of two requests at once serves one", async () => {
    const { id } = await draft();
    const code = codeIn(await approve(stage, id));
    const both = await Promise.all([1, 2].map(() => codeOf(stage.cases.complete(caller(), id, { code }))));
    expect(both.toSorted()).toEqual(["consent-attempt-unusable", "none"]);
  });

  test("ends after ten minutes", async () => {
    const { id } = await draft();
    const code = codeIn(await approve(stage, id));
    stage.ambient.advance(600_000);
    expect(await codeOf(stage.cases.complete(caller(), id, { code }))).toBe("consent-attempt-unusable");
  });

  test("serves no other connection, though it was approved for the same tenant in the same instant", async () => {
    const [one, other] = [await draft(), await draft()];
    const [code] = await stage.ambient.frozen(
      async () => [codeIn(await approve(stage, one.id)), await approve(stage, other.id)] as const,
    );
    expect(await codeOf(stage.cases.complete(caller(), other.id, { code }))).toBe("consent-attempt-unusable");
    expect((await stage.cases.read(caller(), other.id)).state).toBe("proven");
  });

  test("is void when the same tenant approved again", async () => {
    const { id } = await draft();
    const first = codeIn(await approve(stage, id));
    const second = codeIn(await approve(stage, id));
    expect(await codeOf(stage.cases.complete(caller(), id, { code: first }))).toBe("consent-attempt-unusable");
    expect(await codeOf(stage.cases.complete(caller(), id, { code: second }))).toBe("none");
  });

  test("stands for its own approval: a later one of another tenant voids it", async () => {
    const { id } = await draft();
    const first = codeIn(await approve(stage, id));
    stage.microsoft.person.tid = tenantB;
    const second = codeIn(await approve(stage, id));
    expect(await codeOf(stage.cases.complete(caller(), id, { code: first }))).toBe("consent-attempt-unusable");
    expect(await stage.cases.complete(caller(), id, { code: second })).toMatchObject({ state: "active", tid: tenantB });
  });

  test("is not taken for a ticket or a state, nor these for a code", async () => {
    const { id } = await draft();
    const code = codeIn(await approve(stage, id));
    expect(await codeOf(stage.cases.show(code, undefined))).toBe("consent-attempt-unusable");
    const state = new URL(await asFarAsSignIn(stage, id)).searchParams.get("state") ?? "";
    expect(await codeOf(stage.cases.complete(caller(), id, { code: state }))).toBe("consent-attempt-unusable");
    expect(await codeOf(stage.cases.consent(new URLSearchParams({ state, ...approved(tenantA) }), visitor))).toBe(
      "consent-attempt-unusable",
    );
  });
});

describe("starting", () => {
  test.each([
    ["a foreign origin", "https://evil.example/settings"],
    ["a registered origin as a prefix", "https://product.example.evil.example/"],
    ["a user before a foreign host", "https://product.example@evil.example/"],
    ["a password for the registered host", "https://a:b@product.example/"],
    ["another port", "https://product.example:8443/"],
    ["another scheme", "http://product.example/"],
    ["an origin inside a blob", "blob:https://product.example/1"],
    ["a script", "javascript:alert(1)//https://product.example"],
    ["a fragment", "https://product.example/#x"],
    ["a relative address", "//product.example/"],
  ])("refuses to return to %s", async (_what, address) => {
    const { id } = await draft();
    expect(await codeOf(stage.cases.start(caller(), id, { tier: "read", returnUrl: address }))).toBe(
      "return-url-not-allowed",
    );
  });

  test("needs a tier that is offered and switched on", async () => {
    const { id } = await draft();
    expect(await codeOf(stage.cases.start(caller(), id, { tier: "calendar", returnUrl }))).toBe("tier-not-offered");
    expect(await codeOf(stage.cases.start(caller(), id, { tier: "write", returnUrl }))).toBe("state-conflict");
  });

  test("serves no other workspace", async () => {
    const { id } = await draft();
    expect(await codeOf(stage.cases.start(caller("other"), id, { tier: "read", returnUrl }))).toBe(
      "connection-not-found",
    );
  });

  test("keeps the ticket, the requester and the return address out of sight in the database", async () => {
    const { id } = await draft();
    const { connectUrl } = await stage.cases.start(caller(), id, { tier: "read", returnUrl });
    const headers = { "x-control-key": stage.server.key };
    const dump = await (await fetch(`${stage.server.endpoint}/_control/dump`, { headers })).text();
    expect(dump).toContain(hashOf(ticketOf(connectUrl)));
    for (const secret of [ticketOf(connectUrl), "product.example"]) expect(dump).not.toContain(secret);
    expect(dump).not.toMatch(/\balice\b/);
  });
});

describe("the ticket", () => {
  test("may be looked at, and is spent by going on", async () => {
    const { id } = await draft(caller(), { write: true });
    const { connectUrl } = await stage.cases.start(caller(), id, { tier: "read", returnUrl });
    expect(connectUrl).toMatch(/^https:\/\/sync\.example\/connect\/[\w-]{43}$/);
    const ticket = ticketOf(connectUrl);
    await stage.cases.show(ticket, undefined);
    const shown = await stage.cases.show(ticket, browserCookie);
    expect(shown).toMatchObject({
      workspaceId: "acme",
      requester: "alice",
      connectionName: `Connection ${name}`,
      cookie: browserCookie,
    });
    expect(shown.permissions.map(({ value }) => value)).toEqual(readRoles);
    await stage.cases.continue(ticket, browserCookie);
    expect(await codeOf(stage.cases.continue(ticket, browserCookie))).toBe("consent-attempt-unusable");
    expect(await codeOf(stage.cases.show(ticket, undefined))).toBe("consent-attempt-unusable");
  });

  test("does not go on in a browser that has not shown the page", async () => {
    const { id } = await draft();
    const ticket = ticketOf((await stage.cases.start(caller(), id, { tier: "read", returnUrl })).connectUrl);
    expect(await codeOf(stage.cases.continue(ticket, undefined))).toBe("consent-attempt-unusable");
    expect(await codeOf(stage.cases.continue(ticket, "short"))).toBe("consent-attempt-unusable");
  });

  test("ends with ten minutes, with the tier, and with the connection", async () => {
    const { id } = await draft(caller(), { write: true });
    const ticket = async (tier: "read" | "write") =>
      ticketOf((await stage.cases.start(caller(), id, { tier, returnUrl })).connectUrl);
    const old = await ticket("read");
    stage.ambient.advance(600_000);
    expect(await codeOf(stage.cases.show(old, undefined))).toBe("consent-attempt-unusable");
    const write = await ticket("write");
    const view = await stage.cases.read(caller(), id);
    const off = await stage.cases.update(caller(), id, view.etag, { access: { write: false } });
    expect(await codeOf(stage.cases.show(write, undefined))).toBe("consent-attempt-unusable");
    const read = await ticket("read");
    await stage.cases.close(caller(), id, { displayName: off.displayName });
    expect(await codeOf(stage.cases.continue(read, browserCookie))).toBe("consent-attempt-unusable");
  });
});

describe("the sign-in", () => {
  const signIn = async (id: string): Promise<URL> => {
    const { redirect } = await stage.cases.signIn(answerTo(await asFarAsSignIn(stage, id), signedIn), visitor);
    return new URL(redirect);
  };

  test("does not redeem a state twice, nor in another browser", async () => {
    const { id } = await draft();
    const answer = answerTo(await asFarAsSignIn(stage, id), signedIn);
    const elsewhere = { ...visitor, cookie: "d".repeat(43) };
    expect(await codeOf(stage.cases.signIn(answer, elsewhere))).toBe("consent-attempt-unusable");
    expect(await codeOf(stage.cases.signIn(answer, { ...visitor, cookie: undefined }))).toBe(
      "consent-attempt-unusable",
    );
    expect(stage.microsoft.asked).toEqual([]);
    await stage.cases.signIn(answer, visitor);
    expect(await codeOf(stage.cases.signIn(answer, visitor))).toBe("consent-attempt-unusable");
    expect(stage.microsoft.asked).toEqual(["redeem"]);
  });

  test("goes on to approve in the tenant of the token", async () => {
    stage.microsoft.person.tid = tenantB;
    expect((await signIn((await draft()).id)).pathname).toBe(`/${tenantB}/adminconsent`);
  });

  test("refuses who is no administrator, and keeps nothing of the person", async () => {
    stage.microsoft.person.wids = [];
    const { id } = await draft();
    expect(outcome(await signIn(id))).toBe("consent-not-administrator");
    const month = new Date(stage.ambient.now()).toISOString().slice(0, 7);
    const last = (await stage.access.list("acme", month, { limit: 1000 })).at(-1);
    expect(last).toMatchObject({
      what: "refused",
      subject: "unproven",
      refusal: "consent-not-administrator",
      ip: visitor.ip,
      connectionId: id,
    });
  });

  test("refuses a guest", async () => {
    stage.microsoft.person.acct = 1;
    expect(outcome(await signIn((await draft()).id))).toBe("consent-guest");
  });

  test("asks once for a fresh sign-in when the session is old, then refuses", async () => {
    stage.microsoft.person.authTime = Math.floor(stage.ambient.now() / 1000) - 601;
    const { id } = await draft();
    const again = await signIn(id);
    expect(again.searchParams.get("prompt")).toBe("login");
    const { redirect } = await stage.cases.signIn(answerTo(again.href, signedIn), visitor);
    expect(outcome(new URL(redirect))).toBe("consent-sign-in-failed");
  });

  test("tells the product when the person cancelled, and when the token was wrong", async () => {
    const { id } = await draft();
    const cancelled = answerTo(await asFarAsSignIn(stage, id), { error: "access_denied" });
    expect(outcome(new URL((await stage.cases.signIn(cancelled, visitor)).redirect))).toBe("consent-declined");
    stage.microsoft.failure = new AppError("consent-sign-in-failed");
    expect(outcome(await signIn(id))).toBe("consent-sign-in-failed");
  });

  test("of another tenant than the active connection's is refused before anything is approved", async () => {
    const { id } = await connect();
    stage.microsoft.person.tid = tenantB;
    expect(outcome(await signIn(id))).toBe("consent-wrong-tenant");
  });
});

describe("the approval", () => {
  const consent = async (id: string, answer: Record<string, string>, who = visitor): Promise<URL> => {
    const { redirect } = await stage.cases.signIn(answerTo(await asFarAsSignIn(stage, id), signedIn), visitor);
    return new URL((await stage.cases.consent(answerTo(redirect, answer), who)).redirect);
  };

  test.each([
    [
      "a denial that also says admin_consent=True",
      { error: "consent_required", admin_consent: "True", tenant: tenantA },
      "consent-declined",
    ],
    ["a denial without a tenant", { error: "access_denied" }, "consent-declined"],
    ["an answer that says nothing", { tenant: tenantA }, "consent-declined"],
    ["another tenant", approved(tenantB), "consent-wrong-tenant"],
    ["no tenant", { admin_consent: "True" }, "consent-wrong-tenant"],
    ["the tenant in capitals", approved(tenantA.toUpperCase()), "code"],
  ])("with %s", async (_what, answer, expected) => {
    const { id } = await draft();
    expect(outcome(await consent(id, answer))).toBe(expected);
    expect((await stage.cases.read(caller(), id)).state).toBe(expected === "code" ? "proven" : "draft");
  });

  test("cannot be replayed, nor finished in another browser", async () => {
    const { id } = await draft();
    const { redirect } = await stage.cases.signIn(answerTo(await asFarAsSignIn(stage, id), signedIn), visitor);
    const answer = answerTo(redirect, approved(tenantA));
    expect(await codeOf(stage.cases.consent(answer, { ...visitor, cookie: "d".repeat(43) }))).toBe(
      "consent-attempt-unusable",
    );
    await stage.cases.consent(answer, visitor);
    expect(await codeOf(stage.cases.consent(answer, visitor))).toBe("consent-attempt-unusable");
  });

  test("names the permissions that are missing after some patience, and proves nothing", async () => {
    stage.microsoft.granted = ["User.Read.All"];
    const { id } = await draft();
    const ended = await consent(id, approved(tenantA));
    expect(outcome(ended)).toBe("consent-roles-missing");
    expect(ended.searchParams.get("missing")).toBe("GroupMember.Read.All Organization.Read.All");
    expect(stage.waited).toEqual([500, 1500, 3000]);
    expect(await stage.store.read(id, "proof", "proof:read")).toBeNull();
  });

  test("waits for an application that has not arrived in the tenant yet", async () => {
    stage.microsoft.rolesFailures = [new AppError("consent-revoked"), new AppError("consent-revoked")];
    expect(outcome(await consent((await draft()).id, approved(tenantA)))).toBe("code");
    expect(stage.waited).toEqual([500, 1500]);
  });

  test("accepts permissions that include the ones needed", async () => {
    stage.microsoft.granted = ["User.ReadWrite.All", "Group.ReadWrite.All", "Organization.Read.All"];
    expect(outcome(await consent((await draft()).id, approved(tenantA)))).toBe("code");
  });

  test("is refused when Graph shows another organisation", async () => {
    stage.microsoft.organizationId = tenantB;
    const { id } = await draft();
    expect(outcome(await consent(id, approved(tenantA)))).toBe("consent-wrong-tenant");
    expect((await stage.cases.read(caller(), id)).state).toBe("draft");
  });

  test("comes too late when another tenant's was confirmed meanwhile", async () => {
    const { id } = await draft();
    stage.microsoft.person.tid = tenantB;
    const { redirect } = await stage.cases.signIn(answerTo(await asFarAsSignIn(stage, id), signedIn), visitor);
    stage.microsoft.person.tid = tenantA;
    await stage.cases.complete(caller(), id, { code: codeIn(await approve(stage, id)) });
    const late = await stage.cases.consent(answerTo(redirect, approved(tenantB)), visitor);
    expect(outcome(new URL(late.redirect))).toBe("consent-wrong-tenant");
    expect(await stage.cases.read(caller(), id)).toMatchObject({ state: "active", tid: tenantA });
  });

  test("comes to nothing when the connection is being deleted meanwhile", async () => {
    const { id, displayName } = await draft();
    const { redirect } = await stage.cases.signIn(answerTo(await asFarAsSignIn(stage, id), signedIn), visitor);
    await stage.cases.close(caller(), id, { displayName });
    const ended = await stage.cases.consent(answerTo(redirect, approved(tenantA)), visitor);
    expect(outcome(new URL(ended.redirect))).toBe("state-conflict");
  });
});

describe("a second approval", () => {
  test("of another tier leaves the sync alone and activates that tier only", async () => {
    const { id } = await connect(caller(), { write: true });
    const before = (await stage.store.read(id, "head", "head"))?.wakeAt;
    stage.hinted.length = 0;
    stage.microsoft.granted = ["User.ReadWrite.All", "Group.ReadWrite.All"];
    const view = await stage.cases.complete(caller(), id, {
      code: codeIn(await approve(stage, id, caller(), "write")),
    });
    expect(view.access).toMatchObject({
      read: { state: "active" },
      write: { state: "active" },
      licences: { state: "off" },
    });
    expect((await stage.store.read(id, "head", "head"))?.wakeAt).toBe(before);
    expect(stage.hinted).toEqual([]);
  });

  test("ends the need for attention when it is for reading", async () => {
    const { id } = await connect();
    await edit(stage, id, (doc) => ({
      ...doc,
      state: "needs-attention",
      attention: { code: "consent-revoked", since: "2026-01-01T00:00:00.000Z" },
    }));
    const shown = await stage.cases.read(caller(), id);
    expect(shown).toMatchObject({
      state: "needs-attention",
      attention: { code: "consent-revoked", advice: "An administrator must connect again." },
    });
    const view = await stage.cases.complete(caller(), id, { code: codeIn(await approve(stage, id)) });
    expect(view).toMatchObject({ state: "active", attention: null });
  });

  test("ends a quarantine when it is for reading, and the failures that led to it", async () => {
    const { id } = await connect();
    const quarantine = { code: "graph-refused", since: "2026-01-01T00:00:00.000Z", failures: 8 };
    await edit(stage, id, (doc) => ({ ...doc, quarantine }));
    await stage.cosmos.directory.item("head", id).patch([{ op: "set", path: "/strikes", value: 8 }]);
    const shown = await stage.cases.read(caller(), id);
    expect(shown).toMatchObject({ state: "active", quarantine, nextSyncAt: null });
    expect(shown.quarantine?.advice).toMatch(/\.$/);
    const view = await stage.cases.complete(caller(), id, { code: codeIn(await approve(stage, id)) });
    expect([view.quarantine, (await stage.store.read(id, "head", "head"))?.strikes]).toEqual([null, 0]);
  });

  test("is possible for signing in alone, without any application permission", async () => {
    const { id } = await draft(caller(), { signIn: true });
    stage.microsoft.granted = [];
    const view = await stage.cases.complete(caller(), id, {
      code: codeIn(await approve(stage, id, caller(), "signIn")),
    });
    expect(view).toMatchObject({
      state: "active",
      access: { read: { state: "consent-needed" }, signIn: { state: "active" } },
      nextSyncAt: null,
    });
    expect(stage.microsoft.asked).not.toContain(`organization ${tenantA}`);
  });
});

describe("two workspaces with the same tenant", () => {
  test("share no approval: what was granted for the first counts for nothing in the second", async () => {
    stage.microsoft.granted = [...readRoles, "User.ReadWrite.All", "Group.ReadWrite.All"];
    const first = await connect(caller("one", "a"), { write: true });
    await stage.cases.complete(caller("one", "a"), first.id, {
      code: codeIn(await approve(stage, first.id, caller("one", "a"), "write")),
    });
    const second = await connect(caller("two", "b"));
    const switched = await stage.cases.update(caller("two", "b"), second.id, second.etag, { access: { write: true } });
    expect(switched.access.write.state).toBe("consent-needed");
    const shown = await stage.cases.permissions(caller("two", "b"), second.id);
    expect(shown.find(({ tier }) => tier === "write")).toMatchObject({
      approvedAt: null,
      effective: { state: "consent-needed" },
    });
    expect(shown.find(({ tier }) => tier === "write")?.permissions.map(({ granted }) => granted)).toEqual([null, null]);
    const ofFirst = await stage.cases.permissions(caller("one", "a"), first.id);
    expect(ofFirst.find(({ tier }) => tier === "write")?.permissions.map(({ granted }) => granted)).toEqual([
      true,
      true,
    ]);
  });

  test("see a permission that was taken away as degraded", async () => {
    const { id } = await connect();
    stage.microsoft.granted = ["User.Read.All", "Organization.Read.All"];
    const read = (await stage.cases.permissions(caller(), id)).find(({ tier }) => tier === "read");
    expect(read?.effective).toMatchObject({ wanted: true, state: "degraded", missing: ["GroupMember.Read.All"] });
  });
});
