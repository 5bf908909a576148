import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { directorySource as sourceOf } from "../../src/adapters/graph/directory-source.ts";
import { feedObjects, selectOf } from "../../src/adapters/graph/feeds.ts";
import { defaultSettings } from "../../src/core/connections/settings.ts";
import type { ConnectionContext } from "../../src/core/context.ts";
import { CursorExpired, type DirectorySource, type Feed } from "../../src/core/directory/ports.ts";
import { AppError } from "../../src/core/errors.ts";
import {
  graphError,
  inTurn,
  type Reply,
  type Seen,
  scriptedClient,
  scriptedForFile,
  tenantA,
} from "./graph-scripted-server.ts";

const graph = await scriptedForFile();
const attacker = await scriptedForFile();

/** The source reads nothing of a connection but its id, its tenant and which attributes it wants. */
const connection = { ...tenantA, settings: defaultSettings } as ConnectionContext;
const source = () => {
  const { client, clock } = scriptedClient(graph);
  return { source: sourceOf(client), clock };
};
const id = (n: number) => `00000000-0000-4000-8000-${String(n).padStart(12, "0")}`;
const link = (kind: "skip" | "delta", n: number, feed: Feed = "users") =>
  `${graph.url}/v1.0/${feed}/delta?$${kind}token=t${n}`;
const page = (value: object[], rest: object = { "@odata.deltaLink": link("delta", 1) }): Reply => ({
  body: { value, ...rest },
});

const failure = async (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => "it succeeded",
    (reason: unknown) => reason,
  );
const codeOf = async (promise: Promise<unknown>): Promise<string> => {
  const error = await failure(promise);
  if (error instanceof CursorExpired) return "cursor-expired";
  return error instanceof AppError ? error.code : String(error);
};

const readAll = async () => {
  const { source: directory } = source();
  let next: string | null = null;
  do ({ next } = await directory.page(connection, "users", next));
  while (next);
};

describe("a feed", () => {
  test("is asked for the selected properties and its relationship, and continues at the link as it is", async () => {
    graph.answer = inTurn(page([], { "@odata.nextLink": link("skip", 1) }), page([]), page([]));
    const { source: directory } = source();
    expect(await directory.page(connection, "users", null)).toEqual({
      objects: [],
      next: link("skip", 1),
      delta: null,
    });
    expect(await directory.page(connection, "users", link("skip", 1))).toEqual({
      objects: [],
      next: null,
      delta: link("delta", 1),
    });
    await directory.page(connection, "groups", null);
    const select = Object.keys(defaultSettings.attributes).join(",");
    expect(graph.seen.map(({ target }) => target)).toEqual([
      `/v1.0/users/delta?$select=id,${select},manager`,
      "/v1.0/users/delta?$skiptoken=t1",
      "/v1.0/groups/delta?$select=id,displayName,description,mail,mailEnabled,mailNickname,securityEnabled,groupTypes,visibility,isAssignableToRole,onPremisesSyncEnabled,members",
    ]);
    expect(directory.requests(connection.connectionId)).toBe(3);
    expect(directory.selection(defaultSettings)).toEqual({
      users: selectOf("users", defaultSettings),
      groups: selectOf("groups", defaultSettings),
    });
    for (const [feed, asked] of Object.entries(directory.selection(defaultSettings)))
      expect(graph.seen.map(({ target }) => target)).toContain(`/v1.0/${feed}/delta?$select=${asked}`);
  });

  test("and a live look-up ask for what the settings name, and for what the scope decides by", async () => {
    const mapped = {
      role: { from: "jobTitle", clear: false },
      title: { from: "jobTitle", clear: true },
      address: { from: "mail", clear: false },
    } as const;
    const narrow = { ...connection, settings: { ...defaultSettings, attributes: mapped } };
    graph.answer = (seen) =>
      seen.target.endsWith("$batch") ? { body: { responses: [] } } : page([], { "@odata.deltaLink": link("delta", 1) });
    const { source: directory } = source();
    await directory.page(narrow, "users", null);
    await directory.people(narrow, [id(7)]);
    // `jobTitle` is mapped; the rest decides.
    const select = "id,mail,userPrincipalName,jobTitle,accountEnabled,userType,otherMails,proxyAddresses";
    expect(graph.seen.map(({ target }) => target)).toEqual([
      `/v1.0/users/delta?$select=${select},manager`,
      expect.stringContaining("$batch"),
    ]);
    expect(graph.seen[1]?.body).toContain(`$select=${select}&`);
    expect(directory.selection(narrow.settings).users).toBe(`${select},manager`);
    expect(directory.selection(narrow.settings).groups).toBe(directory.selection(defaultSettings).groups);
  });

  test("of users keeps what was selected: null stays null, absent stays absent, ids become lower case", async () => {
    const upper = id(10).replace("4000", "4ABC");
    graph.answer = () =>
      page([
        {
          id: upper,
          displayName: "Ä",
          mail: null,
          businessPhones: [],
          accountEnabled: false,
          aboutMe: "not asked for",
          "@odata.id": "x",
        },
        { id: id(2), "@removed": { reason: "changed" } },
        { id: id(3), "@removed": { reason: "deleted" } },
        { id: id(4), "@removed": { reason: "mystery" } },
        {
          id: id(5),
          "@odata.type": "#microsoft.graph.user",
          "manager@delta": [
            { "@odata.type": "#microsoft.graph.user", id: upper, "@removed": { reason: "deleted" } },
            { "@odata.type": "#microsoft.graph.user", id: upper },
          ],
        },
        { id: id(6), "@odata.type": "#microsoft.graph.agentUser", displayName: "Agent" },
      ]);
    const { objects } = await source().source.page(connection, "users", null);
    expect(objects).toEqual([
      {
        id: upper.toLowerCase(),
        properties: { displayName: "Ä", mail: null, businessPhones: [], accountEnabled: false },
      },
      { id: id(2), properties: {}, removed: "changed" },
      { id: id(3), properties: {}, removed: "deleted" },
      { id: id(4), properties: {}, removed: "changed" },
      {
        id: id(5),
        properties: {},
        manager: [
          { id: upper.toLowerCase(), removed: true },
          { id: upper.toLowerCase(), removed: false },
        ],
      },
    ]);
  });

  test("of groups tells members added and removed, with their types", async () => {
    graph.answer = () =>
      page([
        { id: id(1), displayName: "All", groupTypes: ["Unified"] },
        {
          id: id(1),
          displayName: "All",
          "members@delta": [
            { "@odata.type": "#microsoft.graph.user", id: id(2).toUpperCase() },
            { "@odata.type": "microsoft.graph.group", id: id(3) },
            { "@odata.type": "#microsoft.graph.device", id: id(4), "@removed": { reason: "deleted" } },
            { id: id(5) },
          ],
        },
      ]);
    const { objects } = await source().source.page(connection, "groups", null);
    expect(objects).toEqual([
      { id: id(1), properties: { displayName: "All", groupTypes: ["Unified"] } },
      {
        id: id(1),
        properties: { displayName: "All" },
        members: [
          { id: id(2), type: "user", removed: false },
          { id: id(3), type: "group", removed: false },
          { id: id(4), type: "device", removed: true },
          { id: id(5), type: "unknown", removed: false },
        ],
      },
    ]);
  });

  test.each<[string, object]>([
    ["without a link", {}],
    ["with both links", { "@odata.nextLink": "NEXT", "@odata.deltaLink": "DELTA" }],
    ["without a value", { value: undefined, "@odata.deltaLink": "DELTA" }],
    ["with something else than objects", { value: ["x"], "@odata.deltaLink": "DELTA" }],
    ["with an object without id", { value: [{ displayName: "x" }], "@odata.deltaLink": "DELTA" }],
    ["with a manager that is no list", { value: [{ id: "1", "manager@delta": null }], "@odata.deltaLink": "DELTA" }],
  ])("refuses a page %s", async (_name, rest) => {
    const body = JSON.stringify({ value: [], ...rest });
    graph.answer = () => ({ body: body.replace("NEXT", link("skip", 1)).replace("DELTA", link("delta", 1)) });
    expect(await codeOf(source().source.page(connection, "users", null))).toBe("graph-unavailable");
  });

  test.each(["@odata.nextLink", "@odata.deltaLink"])(
    "refuses a foreign %s when it arrives, and when a stored one is used",
    async (name) => {
      const foreign = `${attacker.url}/v1.0/users/delta?$deltatoken=1`;
      graph.answer = () => page([], { [name]: foreign });
      const { source: directory } = source();
      expect(await codeOf(directory.page(connection, "users", null))).toBe("graph-foreign-link");
      expect(await codeOf(directory.page(connection, "users", foreign))).toBe("graph-foreign-link");
      expect(await codeOf(directory.members(connection, id(1), foreign))).toBe("graph-foreign-link");
      expect([graph.seen.length, attacker.seen.length]).toEqual([1, 0]);
    },
  );

  test("that repeats one page under links that differ ends after the fifth, also when a page is read again meanwhile", async () => {
    const { source: directory } = source();
    let turn = 0;
    graph.answer = () => page([{ id: id(1), displayName: "x" }], { "@odata.nextLink": link("skip", ++turn) });
    let next: string | null = null;
    for (let read = 1; read <= 4; read++) {
      const asked = next;
      ({ next } = await directory.page(connection, "users", asked));
      if (read === 3) ({ next } = await directory.page(connection, "users", asked));
    }
    expect(await codeOf(directory.page(connection, "users", next))).toBe("graph-unavailable");
  });

  test("may have many empty pages, but not without end", async () => {
    let pages = 30;
    let turn = 0;
    graph.answer = () => (turn < pages ? page([], { "@odata.nextLink": link("skip", ++turn) }) : page([]));
    await readAll();
    expect(graph.seen.length).toBe(31);
    [pages, turn, graph.seen] = [Infinity, 0, []];
    expect(await codeOf(readAll())).toBe("graph-unavailable");
    expect(graph.seen.length).toBe(1000);
  });
});

describe("a dead link", () => {
  /** [answer, meaning on a stored link, meaning on a first request] */
  const disguises: [string, Reply, string, string][] = [
    [
      "410 with a foreign Location",
      { status: 410, headers: { location: "https://graph.evil.example/v1.0/users/delta?$deltatoken=" } },
      "cursor-expired",
      "graph-unavailable",
    ],
    ["syncStateNotFound", graphError(400, "syncStateNotFound"), "cursor-expired", "graph-refused"],
    ["SyncStateNotFound with 404", graphError(404, "SyncStateNotFound"), "cursor-expired", "graph-refused"],
    [
      "resyncRequired inside",
      graphError(404, "UnknownError", { inner: { code: "ResyncRequired" } }),
      "cursor-expired",
      "graph-refused",
    ],
    [
      "resyncRequired deep inside",
      graphError(409, "conflict", { inner: { code: "x", innerError: { code: "resyncRequired" } } }),
      "cursor-expired",
      "graph-refused",
    ],
    ["Request_UnsupportedQuery", graphError(400, "Request_UnsupportedQuery"), "cursor-expired", "graph-refused"],
    ["Directory_ExpiredPageToken", graphError(400, "Directory_ExpiredPageToken"), "cursor-expired", "graph-refused"],
    ["another 400", graphError(400, "Request_BadRequest"), "cursor-expired", "graph-refused"],
    ["404 UnknownError", graphError(404, "UnknownError"), "graph-unavailable", "graph-refused"],
    ["504", graphError(504, "UnknownError"), "graph-unavailable", "graph-unavailable"],
    [
      "a missing permission",
      graphError(403, "Authorization_RequestDenied"),
      "permission-revoked",
      "permission-revoked",
    ],
  ];
  test.each(disguises)("as %s", async (_name, reply, stored, first) => {
    graph.answer = () => reply;
    const { source: directory } = source();
    expect(await codeOf(directory.page(connection, "users", link("delta", 9)))).toBe(stored);
    expect(await codeOf(directory.page(connection, "users", null))).toBe(first);
    expect(graph.seen.every(({ target }) => target.startsWith("/v1.0/users/delta?$"))).toBe(true);
  });

  test("names no text of Microsoft", async () => {
    graph.answer = () => graphError(400, "Request_UnsupportedQuery");
    const error = await failure(source().source.page(connection, "users", link("delta", 9)));
    expect(String(error)).toMatch(/request_unsupportedquery request-id/);
    expect(String(error)).not.toMatch(/mustermann/);
  });
});

describe("members of a group", () => {
  test("come page by page with ids and types only", async () => {
    const next = `${graph.url}/v1.0/groups/${id(1)}/members?$select=id&$top=999&$skiptoken=s`;
    graph.answer = inTurn(
      page([{ "@odata.type": "#microsoft.graph.user", id: id(2).toUpperCase(), displayName: null }], {
        "@odata.nextLink": next,
      }),
      page([{ "@odata.type": "#microsoft.graph.servicePrincipal", id: id(3) }], {}),
    );
    const { source: directory } = source();
    expect(await directory.members(connection, id(1), null)).toEqual({ members: [{ id: id(2), type: "user" }], next });
    expect(await directory.members(connection, id(1), next)).toEqual({
      members: [{ id: id(3), type: "servicePrincipal" }],
      next: null,
    });
    expect(graph.seen[0]?.target).toBe(`/v1.0/groups/${id(1)}/members?$select=id&$top=999`);
  });

  test.each<[string, Reply, string, string]>([
    ["denied", graphError(403, "Authorization_RequestDenied"), "graph-refused", "graph-refused"],
    ["of an unknown group", graphError(404, "Request_ResourceNotFound"), "graph-refused", "graph-unavailable"],
    ["behind an expired page link", graphError(400, "Directory_ExpiredPageToken"), "graph-refused", "cursor-expired"],
    ["throttled", graphError(429, "TooManyRequests"), "graph-throttled", "graph-throttled"],
  ])("%s are never an empty list", async (_name, reply, first, continued) => {
    graph.answer = () => reply;
    expect(await codeOf(source().source.members(connection, id(1), null))).toBe(first);
    const next = `${graph.url}/v1.0/groups/${id(1)}/members?$skiptoken=s`;
    expect(await codeOf(source().source.members(connection, id(1), next))).toBe(continued);
  });
});

const present = (directory: DirectorySource, ids: string[]) => directory.present(connection, "users", ids);

describe("a live look-up", () => {
  interface Inner {
    status: number;
    body?: object;
    headers?: Record<string, string>;
  }
  const notFound: Inner = { status: 404, body: { error: { code: "Request_ResourceNotFound", message: "" } } };
  /** Answers each inner request by the last digit of its id, the answers in reverse order. */
  const batch =
    (answer: (objectId: string) => Inner | null) =>
    (seen: Seen): Reply => {
      const { requests } = JSON.parse(seen.body) as { requests: { id: string; method: string; url: string }[] };
      const responses = requests.flatMap((request) => {
        const objectId = /^\/(?:users|groups)\/([^?]+)/.exec(request.url)?.[1] ?? "";
        const inner = answer(objectId);
        return inner ? [{ id: request.id, headers: {}, ...inner }] : [];
      });
      return { body: { responses: responses.toReversed() } };
    };

  test("asks for 20 at a time and matches answers by id", async () => {
    const ids = Array.from({ length: 45 }, (_, index) => id(index));
    graph.answer = batch((objectId) =>
      Number(objectId.slice(-2)) % 3 === 0 ? notFound : { status: 200, body: { id: objectId.toUpperCase() } },
    );
    const found = await present(source().source, ids);
    expect(ids.map((each) => found.get(each))).toEqual(ids.map((_, index) => index % 3 !== 0));
    expect(
      graph.seen.map(({ method, target, body }) => [
        method,
        target,
        (JSON.parse(body) as { requests: object[] }).requests.length,
      ]),
    ).toEqual([
      ["POST", "/v1.0/$batch", 20],
      ["POST", "/v1.0/$batch", 20],
      ["POST", "/v1.0/$batch", 5],
    ]);
    expect(JSON.parse(graph.seen[0]?.body ?? "").requests[7]).toEqual({
      id: "7",
      method: "GET",
      url: `/users/${id(7)}?$select=id`,
    });
  });

  test.each<[string, Inner | null]>([
    ["403", { status: 403, body: { error: { code: "Authorization_RequestDenied" } } }],
    ["404 of another kind", { status: 404, body: { error: { code: "UnknownError" } } }],
    ["404 without a body", { status: 404 }],
    ["500", { status: 500 }],
    ["503", { status: 503, headers: { "Retry-After": "4" } }],
    ["200 about somebody else", { status: 200, body: { id: id(99) } }],
    ["nothing", null],
  ])("takes %s for not known", async (_name, inner) => {
    graph.answer = batch((objectId) => (objectId === id(1) ? inner : notFound));
    const { source: directory } = source();
    expect([...(await present(directory, [id(1), id(2)]))]).toEqual([[id(2), false]]);
    expect([...(await directory.people(connection, [id(1), id(2)]))]).toEqual([[id(2), null]]);
  });

  test("of memberships is read to its end, and leaves out whose groups Graph does not tell", async () => {
    const next = `${graph.url}/v1.0/users/${id(1)}/memberOf?$skiptoken=t`;
    const answers: Record<string, Inner> = {
      [id(1)]: { status: 200, body: { value: [{ id: id(8) }], "@odata.nextLink": next } },
      [id(2)]: { status: 503 },
      [id(3)]: { status: 200, body: { value: [] } },
    };
    const first = batch((objectId) => answers[objectId.split("/")[0] ?? ""] ?? notFound);
    let more: Reply = { body: { value: [{ id: id(9) }] } };
    graph.answer = (seen) => (seen.method === "POST" ? first(seen) : more);
    const asked = () => source().source.memberOf(connection, [1, 2, 3, 4].map(id));
    const none = new Set();
    const others = [
      [id(3), none],
      [id(4), none],
    ];
    expect([...(await asked())]).toEqual([[id(1), new Set([id(8), id(9)])], ...others]);
    more = graphError(400, "Directory_ExpiredPageToken");
    expect([...(await asked())]).toEqual(others);
  });

  test("waits for the longest time that any inner answer asks for, as a pause of the tenant", async () => {
    const waits: Record<string, string> = { [id(1)]: "0.249", [id(2)]: "6.1", [id(3)]: "2" };
    graph.answer = batch((objectId) =>
      waits[objectId] ? { status: 429, headers: { "Retry-After": waits[objectId] } } : notFound,
    );
    const { source: directory } = source();
    const error = await failure(present(directory, [id(1), id(2), id(3), id(4)]));
    expect(error).toMatchObject({ code: "graph-throttled", details: { retryAfterSeconds: 7, scope: "tenant" } });
    expect(await codeOf(directory.page(connection, "users", null))).toBe("graph-throttled");
    expect(graph.seen.length).toBe(1);
  });

  test.each<[string, Reply]>([
    ["without responses", { body: {} }],
    ["that was refused", graphError(400, "BadRequest")],
  ])("refuses a batch %s", async (_name, reply) => {
    graph.answer = () => reply;
    expect(await codeOf(present(source().source, [id(1)]))).toBe("graph-unavailable");
  });

  test("of people gives their properties and manager; accounts of agents are nobody", async () => {
    const people: Record<string, Inner> = {
      [id(1)]: {
        status: 200,
        body: {
          id: id(1),
          displayName: "A",
          mail: null,
          aboutMe: "no",
          manager: { "@odata.type": "#microsoft.graph.user", id: id(2).toUpperCase() },
        },
      },
      [id(2)]: { status: 200, body: { id: id(2), displayName: "B" } },
      [id(3)]: { status: 200, body: { "@odata.type": "#microsoft.graph.agentUser", id: id(3) } },
    };
    graph.answer = batch((objectId) => people[objectId] ?? notFound);
    const found = await source().source.people(connection, [id(1), id(2), id(3), id(4)]);
    expect(Object.fromEntries(found)).toEqual({
      [id(1)]: { id: id(1), properties: { displayName: "A", mail: null }, manager: [{ id: id(2), removed: false }] },
      [id(2)]: { id: id(2), properties: { displayName: "B" }, manager: [] },
      [id(3)]: null,
      [id(4)]: null,
    });
    expect(graph.seen[0]?.body).toContain("&$expand=manager($select=id)");
  });
});

interface Example {
  method: string;
  url: string;
  body: unknown;
}
const documented = (): Example[] | null => {
  try {
    return JSON.parse(
      readFileSync(new URL("../../../shared/graph-examples/examples.json", import.meta.url), "utf8"),
    ) as Example[];
  } catch {
    return null;
  }
};

test.skipIf(documented() === null)("every delta example of Microsoft's reference pages is understood", () => {
  const examples = (documented() ?? []).flatMap(({ url, body }) => {
    const feed = /\/v1\.0\/(users|groups)\/delta/.exec(url)?.[1];
    return feed && typeof body === "object" && body !== null
      ? [{ feed: feed as Feed, body: body as Record<string, unknown> }]
      : [];
  });
  expect(examples.length).toBeGreaterThanOrEqual(3);
  for (const { feed, body } of examples) {
    // The pages shorten their samples and leave out even `id`, which is always returned.
    const value = (body.value as object[]).map((object) => ({ id: id(1), ...object }));
    const objects = feedObjects(feed, { ...body, value });
    expect(objects.map(({ properties }) => properties.displayName)).toEqual(
      value.map((object) => "displayName" in object && object.displayName),
    );
  }
});
