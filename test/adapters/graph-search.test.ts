import { describe, expect, test } from "vitest";
import { directorySearch } from "../../src/adapters/graph/search.ts";
import type { ConnectionContext } from "../../src/core/context.ts";
import { AppError } from "../../src/core/errors.ts";
import { graphError, inTurn, type Reply, scriptedClient, scriptedForFile, tenantA } from "./graph-scripted-server.ts";

const graph = await scriptedForFile();

/** The adapter reads nothing of a connection but its id and tenant. */
const connection = tenantA as ConnectionContext;
const search = () => directorySearch(scriptedClient(graph).client);
const id = (n: number) => `00000000-0000-4000-8000-${String(n).padStart(12, "0")}`;

const codeOf = async (promise: Promise<unknown>): Promise<string> =>
  promise.then(
    () => "none",
    (error: unknown) => (error instanceof AppError ? error.code : String(error)),
  );

const query = { text: "ana", limit: 3, properties: ["displayName", "mail"] };

/** What of the request a search text can bend. */
const asked = (): { search: string | null; names: string[] } => {
  const url = new URL(graph.seen.at(-1)?.target ?? "", graph.url);
  return { search: url.searchParams.get("$search"), names: [...url.searchParams.keys()] };
};

describe("a search of people", () => {
  test("asks for words of the name and beginnings of the addresses, from the index", async () => {
    graph.answer = () => ({ body: { value: [{ id: id(1).toUpperCase(), displayName: "Ana", "@odata.id": "x" }] } });
    expect(await search().people(connection, query)).toEqual([{ id: id(1), properties: { displayName: "Ana" } }]);
    expect(asked()).toEqual({
      search: '"displayName:ana" OR "mail:ana" OR "userPrincipalName:ana"',
      names: ["$search", "$select", "$top"],
    });
    expect(graph.seen[0]).toMatchObject({ method: "GET", headers: { consistencylevel: "eventual" } });
  });

  test.each([
    ['x" OR "mail:', String.raw`"displayName:x\" OR \"mail:"`],
    [String.raw`back\slash`, String.raw`"displayName:back\\slash"`],
    ["R&D", '"displayName:R D"'],
    ["50%+#&$top=999", '"displayName:50%+# $top=999"'],
    ["Zoë 田中", '"displayName:Zoë 田中"'],
  ])("%s stays inside its clause", async (text, clause) => {
    graph.answer = () => ({ body: { value: [] } });
    await search().people(connection, { ...query, text });
    expect(asked().search?.split(' OR "mail:')[0]).toBe(clause);
    expect(asked().names).toEqual(["$search", "$select", "$top"]);
  });

  test("follows short pages with the header that their links do not carry, and takes no account of an agent", async () => {
    const next = { "@odata.nextLink": `${graph.url}/v1.0/users?$skiptoken=t` };
    graph.answer = inTurn(
      { body: { value: [], ...next } },
      { body: { value: [{ id: id(1), "@odata.type": "#microsoft.graph.agentUser" }, { id: id(2) }], ...next } },
      { body: { value: [{ id: id(3) }, { id: id(4) }, { id: id(5) }], ...next } },
    );
    const found = await search().people(connection, query);
    expect(found.map((person) => person.id)).toEqual([2, 3, 4].map(id));
    expect(graph.seen.map(({ headers }) => headers.consistencylevel)).toEqual(["eventual", "eventual", "eventual"]);
  });

  test.each<[string, Reply, string]>([
    ["throttled", graphError(429, "TooManyRequests", { headers: { "retry-after": "7" } }), "graph-throttled"],
    ["denied", graphError(403, "Authorization_RequestDenied"), "permission-revoked"],
    ["not understood", graphError(400, "Request_UnsupportedQuery"), "graph-refused"],
    ["without the documented form", { body: { value: {} } }, "graph-unavailable"],
    [
      "led to another host",
      { body: { value: [], "@odata.nextLink": "https://attacker.example/v1.0/users" } },
      "graph-foreign-link",
    ],
  ])("that is %s fails", async (_, reply, code) => {
    graph.answer = () => reply;
    expect(await codeOf(search().people(connection, query))).toBe(code);
  });

  test("does not page for ever", async () => {
    graph.answer = () => ({ body: { value: [], "@odata.nextLink": `${graph.url}/v1.0/users?$skiptoken=t` } });
    expect(await codeOf(search().people(connection, query))).toBe("graph-unavailable");
    expect(graph.seen.length).toBeLessThan(50);
  });
});

test("a look-up by address doubles apostrophes and asks no index", async () => {
  graph.answer = () => ({ body: { value: [{ id: id(1), mail: "o'neil@contoso.example" }] } });
  const found = await search().named(connection, { mail: "o'neil+x&y@contoso.example" }, ["mail"]);
  expect(found).toEqual([{ id: id(1), properties: { mail: "o'neil@contoso.example" } }]);
  const url = new URL(graph.seen[0]?.target ?? "", graph.url);
  expect(url.searchParams.get("$filter")).toBe("mail eq 'o''neil+x&y@contoso.example'");
  expect(graph.seen[0]?.headers.consistencylevel).toBeUndefined();
});

describe("the groups of people", () => {
  const batch = (...bodies: { status: number; body: object }[]): Reply => ({
    body: { responses: bodies.map((response, index) => ({ id: String(index), ...response })).toReversed() },
  });
  const notFound = { status: 404, body: { error: { code: "Request_ResourceNotFound" } } };

  test("are asked in one batch of reads, at any depth when that is meant; whom Graph does not know is left out", async () => {
    graph.answer = () => batch({ status: 200, body: { value: [{ id: id(9) }] } }, notFound);
    expect(await search().groupsOf(connection, [id(1), id(2)], "nested")).toEqual(new Map([[id(1), new Set([id(9)])]]));
    const sent = JSON.parse(graph.seen[0]?.body ?? "") as { requests: { method: string; url: string }[] };
    expect(sent.requests.map(({ method }) => method)).toEqual(["GET", "GET"]);
    expect(sent.requests[0]?.url).toMatch(new RegExp(`^/users/${id(1)}/transitiveMemberOf\\?`));
    graph.answer = () => batch({ status: 200, body: { value: [] } });
    await search().groupsOf(connection, [id(1)], "direct");
    expect(graph.seen.at(-1)?.body).toContain(`/users/${id(1)}/memberOf?`);
  });

  test("are read to the end", async () => {
    const next = `${graph.url}/v1.0/users/${id(1)}/memberOf?$skiptoken=t`;
    graph.answer = ({ method }) =>
      method === "POST"
        ? batch({ status: 200, body: { value: [{ id: id(8) }], "@odata.nextLink": next } })
        : { body: { value: [{ id: id(9) }] } };
    expect((await search().groupsOf(connection, [id(1)], "direct")).get(id(1))).toEqual(new Set([id(8), id(9)]));
  });

  test.each<[string, Reply, string]>([
    ["one answer is missing", { body: { responses: [] } }, "graph-unavailable"],
    ["one answer failed", batch({ status: 503, body: {} }), "graph-unavailable"],
    [
      "one answer is denied",
      batch({ status: 403, body: { error: { code: "Authorization_RequestDenied" } } }),
      "permission-revoked",
    ],
    ["a 404 is not Graph's own", batch({ status: 404, body: {} }), "graph-refused"],
  ])("are not known when %s", async (_, reply, code) => {
    graph.answer = () => reply;
    expect(await codeOf(search().groupsOf(connection, [id(1)], "direct"))).toBe(code);
  });
});
