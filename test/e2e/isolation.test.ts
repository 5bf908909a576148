/**
 * Nobody outside: two workspaces, a tenant each and one that both have connected. Every route of the table is walked with what
 * belongs to the other: ids, cursors, codes.
 */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Route } from "../../src/functions/route.ts";
import { type RouteName, routes } from "../../src/functions/routes.ts";
import { everybody } from "../../src/local/demo/everybody.ts";
import { difference, expectedPicture, readPicture } from "../../src/local/demo/picture.ts";
import {
  type Answer,
  approve,
  askForRun,
  type Caller,
  callerOf,
  createDraft,
  expectStatus,
  returnUrl,
  runNow,
  settled,
  startConsent,
  until,
} from "../support/api.ts";
import { consent } from "../support/browser.ts";
import { type Holding, hold, itemsOf, makeTenant, textOf } from "../support/holding.ts";
import { nothing, productOf, startTestStack, type TestStack } from "../support/stack.ts";
import { changedBetween, storedOf } from "../support/stored.ts";
import { documentsIn } from "../support/traces.ts";

let stack: TestStack;
/** Of workspace alpha. */
let ours: Holding;
/** Of workspace beta: another tenant, and the tenant of `ours`. */
let theirs: Holding;
let shared: Holding;

const unknownId = "0".repeat(26);

beforeAll(async () => {
  // Every route is tried by everybody, in a minute: how often one may ask is not the question here.
  const often = { read: 100_000, write: 100_000, live: 100_000, wait: 100_000, address: 100_000 };
  stack = await startTestStack({ seed: 15, environment: { RATE_LIMITS: JSON.stringify(often) } });
  const tenant = await makeTenant(stack, 51);
  const alpha = callerOf(stack, { workspace: "alpha", subject: "subject-of-alpha" });
  const beta = callerOf(stack, { workspace: "beta", subject: "subject-of-beta" });
  ours = await hold(stack, "alpha", alpha, "Alpha and its tenant", tenant);
  theirs = await hold(stack, "beta", beta, "Beta and another tenant", await makeTenant(stack, 52));
  shared = await hold(stack, "beta", beta, "Beta and alpha's tenant", tenant);
  ours.words.push("subject-of-alpha");
  for (const { call, id } of [ours, theirs, shared]) {
    const path = `/connections/${id}/settings`;
    const { headers } = await expectStatus(200, call("GET", path));
    const request = {
      body: { entries: ["one@listed.example", "two@listed.example"] },
      headers: { "if-match": headers.get("etag") ?? "" },
    };
    await expectStatus(200, call("PUT", `${path}/blacklist`, request));
    const items = ["one", "two"].map((name) => ({ id: name, name }));
    await expectStatus(200, call("PUT", `/connections/${id}/product-groups`, { body: { items } }));
  }
});
afterAll(() => stack.stop());

const storedNow = ({ id }: Pick<Holding, "id">) => storedOf(stack, id);

const shownIn = (text: string, words: readonly string[]): string[] => words.filter((word) => text.includes(word));

const table = Object.entries<Route>(routes).map(([name, route]) => ({ name: name as RouteName, route }));
const ofConnection = table.filter(({ route }) => route.path.includes("{connection}"));
const ofObject = ofConnection.filter(({ route }) => /\{(person|group|run|consumer)\}/.test(route.path));
const reading = table.filter(({ route }) => route.method === "GET");
const paged = reading.filter(({ route }) => route.paged);

const pathOf = ({ path }: Route, connection: string, { person, run, groups, consumer }: Holding): string =>
  path
    .replace("api/v1", "")
    .replace("{connection}", connection)
    .replace("{person}", person)
    .replace("{group}", groups[0])
    .replace("{run}", run)
    .replace("{consumer}", consumer)
    .replace("{version}", "1")
    .replace("{step}", "attributes")
    .replace("{endpoint}", "crm");

/** What would work for the owner, for every route that takes a body. */
const bodyOf = (
  { name, route }: (typeof table)[number],
  { name: displayName, person, consumer, addresses }: Holding,
) => {
  const bodies: Partial<Record<RouteName, object>> = {
    "connections.update": { displayName: "Taken over" },
    "connections.close": { displayName },
    "consent.start": { tier: "read", returnUrl },
    "consent.complete": { code: "c".repeat(43) },
    "security.change": {
      grants: [{ subject: { kind: "person", id: "subject-of-beta" }, permissions: ["integration:secure"] }],
    },
    "keys.rekey": { displayName },
    "settings.change": { ...everybody, automatic: false, intervalMinutes: 60, paused: true },
    "settings.impact": { ...everybody, automatic: false, intervalMinutes: 60 },
    "settings.blacklist-replace": { entries: [addresses[0]] },
    "settings.blacklist-upload": {},
    "product-groups.replace": { items: [{ id: "taken", name: "Taken over" }] },
    "settings.finish": { withoutTest: true },
    "wizard.mark": { done: false },
    "runs.request": { mode: "full" },
    "runs.approve": { planHash: "a".repeat(64) },
    "people.search": { text: "a" },
    "people.explain": { person },
    "people.switch": { enabled: true },
    "people.export": {},
    "people.erase": { person },
    "groups.search": { text: "a" },
    "people.link": { productUserId: "somebody-else" },
    "product-users.link": { items: [{ person, productUserId: "somebody-else" }] },
    "product-users.match": { candidates: [{ productUserId: "somebody-else", mail: addresses[0] }] },
    "audit.search": { actor: "subject-of-alpha" },
    "access.search": { actor: "subject-of-alpha" },
    "changes.acknowledge": { consumer, sequence: 1 },
    "webhooks.replay": { after: 0 },
  };
  const body = bodies[name];
  if (route.body && body === undefined) throw new Error(`${name} takes a body, and none is given here.`);
  return body === undefined ? {} : { body };
};

const matchOf = async (name: RouteName, { call, id }: Holding): Promise<Record<string, string>> => {
  const source = name.startsWith("settings.") ? "/settings" : name.startsWith("security.") ? "/security" : "";
  const { headers } = await expectStatus(200, call("GET", `/connections/${id}${source}`));
  const { ifMatch }: Route = routes[name];
  return ifMatch === "required" ? { "if-match": headers.get("etag") ?? "" } : {};
};

/** Routes whose answers name nothing of a connection's own. */
const silent: RouteName[] = [
  "attributes.list",
  "openapi.read",
  "events.read",
  "security.read",
  "keys.read",
  "settings.read",
  "settings.steps",
  "settings.versions",
  "settings.version",
  "settings.blacklist",
  "product-groups.list",
  "connections.permissions",
  "webhooks.list",
  "audit.verify",
  "privacy.record",
];

const withoutCorrelation = ({ status, body }: Answer) => {
  const { correlationId: _, ...problem } = body;
  return { status, ...problem };
};

describe("what is the other's", () => {
  it("does not exist on any route, and stays as it was", async () => {
    // Asked by the owner, which is recorded as well.
    const matches = new Map<RouteName, Record<string, string>>();
    for (const { name } of ofConnection) matches.set(name, await matchOf(name, ours));
    const before = await storedNow(ours);
    const recorded = { alpha: await recordsOf("alpha"), beta: await recordsOf("beta") };
    let walked = 0;
    for (const { name, route } of ofConnection) {
      const request = { ...bodyOf({ name, route }, ours), headers: matches.get(name) ?? {} };
      const foreign = await theirs.call(route.method, pathOf(route, ours.id, ours), request);
      const expected = name === "consent.complete" ? [410, "consent-attempt-unusable"] : [404, "connection-not-found"];
      expect([foreign.status, foreign.body.code], name).toEqual(expected);
      expect(shownIn(foreign.text, [...ours.words, ...ours.addresses, ours.tid]), name).toEqual([]);
      const nowhere = await theirs.call(route.method, pathOf(route, unknownId, ours), request);
      expect(withoutCorrelation(foreign), name).toEqual(withoutCorrelation(nowhere));
      walked++;
    }
    expect(walked).toBeGreaterThan(18);
    expect(changedBetween(before, await storedNow(ours))).toEqual([]);
    // In the log of whoever tried, and in nobody else's.
    expect(await recordsOf("beta")).toBeGreaterThanOrEqual(recorded.beta + 2 * (walked - 1));
    expect(await recordsOf("alpha")).toBe(recorded.alpha);
  });

  it.each(ofObject)("is no object of a connection of one's own: $name", async ({ name, route }) => {
    const request = bodyOf({ name, route }, ours);
    const answer = await theirs.call(route.method, pathOf(route, theirs.id, ours), request);
    const notFound = expect.stringMatching(/^(person|group|run|consumer)-not-found$/);
    expect([answer.status, answer.body.code]).toEqual([404, notFound]);
    // Of the same tenant only groups have the same ids; people are somebody else in every connection.
    if (route.path.includes("{group}")) return;
    expect((await shared.call(route.method, pathOf(route, shared.id, ours), request)).status).toBe(404);
  });

  it("is nobody whom one could link or match in a connection of one's own", async () => {
    const path = `/connections/${theirs.id}/product-users`;
    const items = [{ person: ours.person, productUserId: "somebody-else" }];
    const linked = await expectStatus(200, theirs.call("POST", path, { body: { items } }));
    expect(itemsOf(linked)).toEqual([expect.objectContaining({ outcome: "refused", code: "person-not-found" })]);
    const mail = ours.addresses.find((address) => address.includes("@"));
    const candidates = [{ productUserId: `product-user-of-${ours.id}`, mail, userPrincipalName: mail }];
    const matched = await expectStatus(200, theirs.call("POST", `${path}/match`, { body: { candidates } }));
    expect(itemsOf(matched)).toEqual([expect.objectContaining({ result: "none", linkedTo: null, persons: [] })]);
  });

  it("is on no list and in no answer of one's own", async () => {
    for (const { name, route } of reading) {
      // Of a run that was applied nothing is shown any more, not even to the owner.
      if (name === "runs.plan") continue;
      const whole = route.paged ? "?limit=200" : "";
      const mine = await expectStatus(200, ours.call("GET", `${pathOf(route, ours.id, ours)}${whole}`));
      // The search can fail: what is the owner's is in the owner's answers.
      if (!silent.includes(name))
        expect(shownIn(mine.text, [...ours.words, ...ours.groups]).length, name).toBeGreaterThan(0);
      // A log of one's own names what one has asked for oneself, also what was refused; of whom it is, is tested by itself.
      if (name.startsWith("access.")) continue;
      const other = await expectStatus(200, theirs.call("GET", `${pathOf(route, theirs.id, theirs)}${whole}`));
      expect(shownIn(other.text, [...ours.words, ...ours.addresses, ...ours.groups]), name).toEqual([]);
      const sameTenant = await expectStatus(200, shared.call("GET", `${pathOf(route, shared.id, shared)}${whole}`));
      expect(shownIn(sameTenant.text, ours.words), name).toEqual([]);
    }
    const listed = await expectStatus(200, theirs.call("GET", "/connections"));
    expect(itemsOf(listed).map(({ id }) => id)).toEqual([theirs.id, shared.id]);
  });

  it("does not take a name away", async () => {
    const id = await createDraft(theirs.call, ours.name);
    expect(id).not.toBe(ours.id);
    await expectStatus(202, theirs.call("DELETE", `/connections/${id}`, { body: { displayName: ours.name } }));
  });

  it("is not reached by a header, nor by a token without the right", async () => {
    const path = `/connections/${ours.id}`;
    const header = await theirs.call("GET", path, { headers: { "x-workspace-id": "alpha" } });
    expect([header.status, header.body.code]).toEqual([403, "permission-missing"]);
    const powerless = callerOf(stack, { workspace: "alpha", permissions: [] });
    expect((await powerless("GET", path)).status).toBe(403);
  });
});

const recordsOf = async (workspace: string): Promise<number> =>
  documentsIn(await stack.cosmos!.dump()).filter(
    ({ container, partitionKey }) => container === "access" && partitionKey.startsWith(`${workspace}|`),
  ).length;

describe("a cursor", () => {
  it("is good for the very list it came from and refused by every other", async () => {
    const uses = [ours, theirs, shared].flatMap((holding) =>
      paged.flatMap(({ name, route }) => {
        const path = pathOf(route, holding.id, holding);
        const variants = [path];
        if (name === "people.list") variants.push(`${path}?state=active`);
        if (name === "groups.members") variants.push(path.replace(holding.groups[0], holding.groups[1]));
        // One list of a workspace, whichever of its connections is meant.
        if (["connections.list", "access.list", "access.export"].includes(name) && holding !== theirs) return [];
        // Of a run that was applied nothing is shown any more.
        if (name === "runs.plan") return [];
        return variants.map((variant) => ({ call: holding.call, path: variant }));
      }),
    );
    const cursors: string[] = [];
    const first = (path: string): string => `${path}${path.includes("?") ? "&" : "?"}limit=1`;
    for (const { call, path } of uses) {
      const { body, headers } = await expectStatus(200, call("GET", first(path)));
      // Of a file, the address of the next part is in a header.
      const next =
        body.next ??
        new URL(/^<([^>]+)>/.exec(headers.get("link") ?? "")?.[1] ?? "/", "http://localhost").searchParams.get(
          "cursor",
        );
      expect(next, path).toEqual(expect.any(String));
      cursors.push(textOf(next));
    }
    expect(uses.length).toBeGreaterThanOrEqual(22);
    for (const [at, { call, path }] of uses.entries())
      for (const [from, cursor] of cursors.entries()) {
        const answer = await call("GET", `${first(path)}&cursor=${encodeURIComponent(cursor)}`);
        const expected = at === from ? [200, undefined] : [400, "invalid-cursor"];
        expect([answer.status, answer.body.code], `${path} with the cursor of ${uses[from]?.path}`).toEqual(expected);
      }
  });
});

describe("an approval", () => {
  const complete = (call: Caller, id: string, code: string) =>
    call("POST", `/connections/${id}/consent/complete`, { body: { code } });
  const administratorOf = async (tid: string): Promise<string> => {
    const { tenants } = await stack.simulator.command("list", {});
    return tenants.find((tenant) => tenant.tid === tid)?.accounts[0]?.objectId ?? "";
  };

  it("cannot be redeemed by another workspace, by another person, or for another connection", async () => {
    const account = await administratorOf(ours.tid);
    const draft = await createDraft(ours.call, "Alpha's second");
    const colleague = callerOf(stack, { workspace: "alpha", subject: "colleague-of-alpha" });
    const thefts: [Caller, string, number, string][] = [
      [theirs.call, draft, 403, "consent-not-yours"],
      [theirs.call, theirs.id, 403, "consent-not-yours"],
      [colleague, draft, 403, "consent-not-yours"],
      [ours.call, ours.id, 410, "consent-attempt-unusable"],
    ];
    for (const [thief, connection, status, problem] of thefts) {
      const code = await approve(ours.call, draft, account);
      const stolen = await complete(thief, connection, code);
      expect([stolen.status, stolen.body.code]).toEqual([status, problem]);
      expect(shownIn(stolen.text, [draft, ...ours.words, ours.tid])).toEqual([]);
      // Whoever showed it, it is spent.
      expect((await complete(ours.call, draft, code)).body.code).toBe("consent-attempt-unusable");
    }
    const { body } = await expectStatus(200, ours.call("GET", `/connections/${draft}`));
    expect([body.state, body.tid]).toEqual(["proven", null]);
    await expectStatus(202, ours.call("DELETE", `/connections/${draft}`, { body: { displayName: "Alpha's second" } }));
  });

  it("of one workspace gives nothing to another that wants the same tenant", async () => {
    const account = await administratorOf(ours.tid);
    const draft = await createDraft(theirs.call, "Beta wants more");
    const path = `/connections/${draft}`;
    // Signed in and then refused: the grants that the tenant has for the first workspace prove nothing here.
    const back = await consent(await startConsent(theirs.call, draft), [{ account }, "cancel"]);
    expect(Object.fromEntries(back.searchParams)).toEqual({ error: "consent-declined", connection: draft });

    const { body } = await expectStatus(200, theirs.call("GET", path));
    expect(body).toMatchObject({
      state: "draft",
      tid: null,
      counts: { people: 0, groups: 0, memberships: 0 },
      access: { read: { state: "consent-needed" } },
    });
    const permissions = await expectStatus(200, theirs.call("GET", `${path}/permissions`));
    const read = itemsOf(permissions).find(({ tier }) => tier === "read");
    expect(read).toMatchObject({ approvedAt: null, effective: { state: "consent-needed" } });
    expect(read?.permissions).not.toContainEqual(expect.objectContaining({ granted: true }));
    for (const [route, request] of [
      ["/runs", { body: { mode: "full" } }],
      ["/test", {}],
    ] as const) {
      const refused = await theirs.call("POST", `${path}${route}`, request);
      expect([refused.status, refused.body.code], route).toEqual([409, "state-conflict"]);
    }
    const kinds = [...(await storedNow({ id: draft })).values()].map(({ kind }) => kind);
    expect(new Set(kinds)).toEqual(new Set(["head", "connection", "ring", "settings", "log"]));
  });
});

describe("of two workspaces with one tenant", () => {
  const equalsTenant = async ({ workspace, id, tid }: Holding) => {
    const { picture } = await readPicture(productOf(stack, workspace), `/connections/${id}`);
    return difference(expectedPicture(await stack.simulator.command("oracle", { tid })), picture);
  };
  /** A change in the tenant, which `ours` takes over while `shared` does not move. */
  const oursGoesOn = async (seed: number): Promise<void> => {
    const { command } = stack.simulator;
    await command("random-changes", { tid: ours.tid, seed, count: 10 });
    const before = await storedNow(shared);
    expect(await runNow(ours.call, ours.id)).toMatchObject({ outcome: "done" });
    await command("observe", { tid: ours.tid });
    expect(await equalsTenant(ours)).toEqual(nothing);
    expect(changedBetween(before, await storedNow(shared))).toEqual([]);
  };
  const pause = async (paused: boolean): Promise<void> => {
    const path = `/connections/${shared.id}/settings`;
    const { headers } = await expectStatus(200, shared.call("GET", path));
    const body = { ...everybody, paused };
    await expectStatus(200, shared.call("PUT", path, { body, headers: { "if-match": headers.get("etag") ?? "" } }));
  };

  it("one may pause, and the other neither notices nor stops", async () => {
    const before = await storedNow(ours);
    await pause(true);
    expect(changedBetween(before, await storedNow(ours))).toEqual([]);
    await oursGoesOn(1);
    const refused = await shared.call("POST", `/connections/${shared.id}/runs`, { body: { mode: "delta" } });
    expect(refused.status).toBe(409);

    const others = await storedNow(ours);
    const known = await settled(shared.call, shared.id);
    await pause(false);
    await until("the run after the pause", async () =>
      (await settled(shared.call, shared.id)).id === known.id ? null : true,
    );
    expect(await equalsTenant(shared)).toEqual(nothing);
    expect(changedBetween(others, await storedNow(ours))).toEqual([]);
  });

  it("one may be deleted, and the other neither notices nor stops", async () => {
    const before = await storedNow(ours);
    await askForRun(shared.call, shared.id, "full");
    const path = `/connections/${shared.id}`;
    await expectStatus(202, shared.call("DELETE", path, { body: { displayName: shared.name } }));
    expect((await shared.call("GET", `${path}/people`)).body.code).toBe("state-conflict");
    expect(changedBetween(before, await storedNow(ours))).toEqual([]);
    // The run that was asked for is let go of first.
    await until("rest", async () => {
      const head = (await storedNow(shared)).get("head");
      return head?.run === null && head.owner === null ? true : null;
    });
    await oursGoesOn(2);
  });
});
