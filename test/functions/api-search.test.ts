import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import { GroupsFound } from "../../src/core/views/search-groups.ts";
import { PeopleFound } from "../../src/core/views/search-people.ts";
import type { Trouble } from "../../src/local/simulator/graph/faults.ts";
import { type Answered, type ApiStage, startApi } from "./api-stage.ts";

let api: ApiStage;
let base: string;
let tid: string;
beforeAll(async () => {
  api = await startApi();
  const made = await api.connect(60, 10);
  base = `/api/v1/connections/${made.id}`;
  ({ tid } = made);
  api.simulator.commands.mutate.run({
    tid,
    mutations: [
      {
        op: "create-user",
        user: {
          id: outsider,
          managerId: null,
          properties: {
            displayName: "Xanthippe Canaryname",
            userPrincipalName: "xanthippe.canary@contoso.example",
            mail: "xanthippe.canary@contoso.example",
            accountEnabled: true,
            userType: "Member",
          },
        },
      },
    ],
  });
});
afterAll(() => api.close());

const outsider = "00000000-0000-4000-8000-00000000cafe";
const post = (path: string, body: unknown, token?: string): Promise<Answered> =>
  api.call("POST", `${base}/${path}`, { body, ...(token === undefined ? {} : { token }) });

const month = () => new Date().toISOString().slice(0, 7);
const recorded = async () => api.cases.edge.access.list("acme", month(), { limit: 1000 });

describe("live search over HTTP", () => {
  test("finds people; the access log names them by person id and holds no word of the text", async () => {
    const { status, body } = await post("people/search", { text: "xanthippe canaryname" });
    expect(status).toBe(200);
    const [hit] = PeopleFound.parse(body).items;
    expect(hit).toMatchObject({ displayName: "Xanthippe Canaryname", state: null, synchronised: false });
    expect((await recorded()).at(-1)).toMatchObject({
      what: "read",
      route: "people.search",
      count: 1,
      objects: [hit?.id],
    });
    const explained = await post("people/explain", { ref: hit?.ref });
    expect([explained.status, explained.body.items]).toMatchObject([200, [{ id: hit?.id, basis: "live" }]]);
    expect((await recorded()).at(-1)).toMatchObject({ route: "people.explain", objects: [hit?.id] });
  });

  test("finds groups", async () => {
    const groups = z.looseObject({
      items: z.array(z.looseObject({ id: z.string(), attributes: z.looseObject({ displayName: z.string() }) })),
    });
    const { items } = groups.parse((await api.call("GET", `${base}/groups`)).body);
    const [group] = items;
    const { body } = await post("groups/search", { text: group?.attributes.displayName, limit: 50 });
    expect(GroupsFound.parse(body).items.find(({ id }) => id === group?.id)).toMatchObject({ shown: true });
  });

  test("publishes the attributes and what is mapped", async () => {
    const { body } = await api.call("GET", `${base}/attributes`);
    expect(body.items).toContainEqual(
      expect.objectContaining({ name: "mail", type: "string", decisive: true, mappedTo: ["mail"] }),
    );
  });

  test("gives Graph's problems as they are, and no text of the search in any of them", async () => {
    const troubled = async (trouble: Trouble, times = 1) => {
      api.simulator.commands.faults.run({ add: [{ trouble, times, path: "^/users\\?" }] });
      return post("people/search", { text: "canaryname" });
    };
    const message = "canaryname";
    // Once with the token that is held, once with a fresh one.
    const denied = await troubled({ kind: "status", status: 403, code: "Authorization_RequestDenied", message }, 2);
    expect([denied.status, denied.body.code]).toEqual([403, "permission-revoked"]);
    const broken = await troubled({ kind: "status", status: 503, code: "UnknownError", message });
    expect([broken.status, broken.body.code]).toEqual([503, "graph-unavailable"]);
    const slowed = await troubled({ kind: "throttle", retryAfterSeconds: 1 });
    expect([slowed.status, slowed.body.code, slowed.headers.get("retry-after")]).toEqual([429, "graph-throttled", "1"]);
    api.advance(5_000);
    const long = await post("people/search", { text: "canaryname ".repeat(20) });
    expect([long.status, long.body.field]).toEqual([400, "text"]);
    expect(JSON.stringify([denied, broken, slowed, long].map(({ body }) => body))).not.toMatch(/canary/i);
  });

  test("leaves no trace of whom it found, nor of what was typed, in the logs or the access log", async () => {
    const told = JSON.stringify([api.log, await recorded()]);
    expect(told).toContain("people.search");
    expect(told).not.toMatch(/canary|xanthippe|00000000cafe/i);
  });

  test("takes an explanation of outsiders from nobody who may only read the directory", async () => {
    const token = await api.tokenFor("acme", ["directory:read"]);
    const answer = await post("people/explain", { mail: "xanthippe.canary@contoso.example" }, token);
    expect([answer.status, answer.body.code]).toEqual([403, "permission-missing"]);
    expect((await recorded()).at(-1)).toMatchObject({ what: "refused", route: "people.explain" });
  });
});
