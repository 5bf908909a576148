import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import { PlanPage } from "../../src/core/views/plan.ts";
import type { PlanItem } from "../../src/core/views/plan-items.ts";
import { type ApiStage, startApi } from "./api-stage.ts";

let api: ApiStage;
let id: string;
let tid: string;
let run: string;
beforeAll(async () => {
  api = await startApi();
  ({ id, tid } = await api.connect(60, 5));
  api.simulator.commands.mutate.run({
    tid,
    mutations: newcomers.map((name, at) => ({
      op: "create-user" as const,
      user: {
        id: `00000000-0000-4000-8000-00000000000${at}`,
        managerId: null,
        properties: { displayName: name, userPrincipalName: `${name}@contoso.example`, accountEnabled: true },
      },
    })),
  });
  const asked = await api.call("POST", `/api/v1/connections/${id}/runs`, { body: { mode: "dry-run" } });
  run = z.string().parse(asked.body.id);
  await api.cases.work({ connectionId: id, receivedAt: Date.now() });
});
afterAll(() => api.close());

const newcomers = ["xanthe", "xavier", "ximena"];
const recorded = async () => api.cases.edge.access.list("acme", new Date().toISOString().slice(0, 7), { limit: 1000 });
const plan = (query: Record<string, string>, token?: string) =>
  api.call("GET", `/api/v1/connections/${id}/runs/${run}/plan`, { query, ...(token === undefined ? {} : { token }) });

describe("the plan of a dry run over HTTP", () => {
  test("is read live page by page; the access log names whom each page showed, by id", async () => {
    const items: PlanItem[] = [];
    for (let cursor: string | null = ""; cursor !== null; ) {
      const answer = await plan({ kind: "people", op: "create", limit: "2", ...(cursor === "" ? {} : { cursor }) });
      expect(answer.status).toBe(200);
      const page = PlanPage.parse(answer.body);
      if (page.items.length > 0)
        expect((await recorded()).at(-1)).toMatchObject({
          what: "read",
          route: "runs.plan",
          objects: [run, ...page.items.map((item) => item.id)],
        });
      items.push(...page.items);
      cursor = page.next;
      // A cursor goes into an address; it tells nothing of the link that is in it.
      expect(cursor?.length ?? 0).toBeLessThan(6000);
      expect(cursor ?? "").not.toContain("delta");
    }
    const names = new Set(items.map(({ person }) => person?.displayName));
    expect([...names].toSorted()).toEqual(newcomers);
  });

  test("has a cursor that is good for its own question only", async () => {
    const { body } = await plan({ kind: "people", op: "create", limit: "1" });
    const cursor = z.string().parse(body.next);
    expect((await plan({ kind: "groups", op: "create", limit: "1", cursor })).body.code).toBe("invalid-cursor");
  });

  test("is nobody's who may not read it; the refusal is recorded", async () => {
    const token = await api.tokenFor("acme", ["directory:read"]);
    const refused = await plan({ kind: "people", op: "create" }, token);
    expect([refused.status, refused.body.code]).toEqual([403, "permission-missing"]);
    expect((await recorded()).at(-1)).toMatchObject({ what: "refused", route: "runs.plan", objects: [run] });
    expect((await plan({}, token)).status).toBe(200);
    expect((await plan({}, await api.tokenFor("other"))).status).toBe(404);
  });
});
