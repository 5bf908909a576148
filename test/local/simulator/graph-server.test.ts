import { mkdtempSync, rmSync } from "node:fs";
import { request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import { startChild } from "../../../src/local/child.ts";
import type { SimulatorAddresses } from "../../../src/local/simulator/main.ts";
import { type Simulator, type SimulatorOptions, startSimulator } from "../../../src/local/simulator/server.ts";
import { createCertificateAuthority, trustInThisProcess } from "../../../src/local/tls.ts";
import { entriesOf, group, guid, type Json, user } from "./graph-scene.ts";

const clientId = "22222222-2222-4222-8222-222222222222";
const secret = "a-secret-of-the-test";
const tid = "33333333-3333-4333-8333-333333333333";
const spec = { tid, seed: 3, users: 40, groups: 8, domain: "contoso.example" };
const app = { clientId, secrets: [secret], applicationPermissions: ["User.Read.All", "GroupMember.Read.All"] };

let tls: { key: string; cert: string };
const folders: string[] = [];
const newFolder = (): string => {
  const folder = mkdtempSync(join(tmpdir(), "simulator-"));
  folders.push(folder);
  return folder;
};

beforeAll(async () => {
  const authority = await createCertificateAuthority();
  trustInThisProcess(authority.caPem);
  tls = await authority.issueServerCertificate();
});
afterAll(() => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

const TokenAnswer = z.object({ access_token: z.string() });

const tokenOf = async (entraUrl: string): Promise<string> => {
  const body = new URLSearchParams({
    grant_type: "client_credentials",
    client_id: clientId,
    client_secret: secret,
    scope: "https://graph.microsoft.com/.default",
  });
  const answer = await fetch(`${entraUrl}/${tid}/oauth2/v2.0/token`, { method: "POST", body });
  return TokenAnswer.parse(await answer.json()).access_token;
};

const read = async (url: string, token: string): Promise<Json> => {
  const answer = await fetch(url, { headers: { authorization: `Bearer ${token}` } });
  return { status: answer.status, ...z.record(z.string(), z.unknown()).parse(await answer.json()) };
};

const command = async (
  at: Pick<SimulatorAddresses, "controlUrl" | "controlSecret">,
  name: string,
  body: object,
): Promise<Json> => {
  const answer = await fetch(`${at.controlUrl}/${name}`, {
    method: "POST",
    headers: { "x-control-secret": at.controlSecret },
    body: JSON.stringify(body),
  });
  return { status: answer.status, ...z.record(z.string(), z.unknown()).parse(await answer.json()) };
};

const withSimulator = async (options: Partial<SimulatorOptions>, use: (simulator: Simulator) => Promise<void>) => {
  const simulator = await startSimulator({ tls, ...options });
  try {
    await use(simulator);
  } finally {
    await simulator.close();
  }
};

const prepare = ({ commands }: Simulator): void => {
  commands["create-tenant"].run(spec);
  commands["register-app"].run(app);
  commands.grant.run({ tid, clientId });
  commands.switches.run({ tid, mode: "calm" });
};

describe("on sockets", () => {
  test("a token of Entra opens Graph; links have Graph's origin and can be followed", async () => {
    await withSimulator({}, async (simulator) => {
      prepare(simulator);
      const token = await tokenOf(simulator.entraUrl);
      simulator.commands.switches.run({ tid, traits: { pageSize: 15 } });
      const first = await read(`${simulator.graphUrl}/users/delta?$select=id`, token);
      const second = await read(String(first["@odata.nextLink"]), token);
      expect([entriesOf(first).length, entriesOf(second).length]).toEqual([15, 15]);
      expect(new URL(String(first["@odata.nextLink"])).origin).toBe(new URL(simulator.graphUrl).origin);
      expect(new URL(simulator.entraUrl).origin).not.toBe(new URL(simulator.graphUrl).origin);
      expect(await read(`${simulator.graphUrl}/users`, "nonsense")).toMatchObject({ status: 401 });
    });
  });

  test("a reset, a body that ends early and a page of a proxy arrive as such", async () => {
    await withSimulator({}, async (simulator) => {
      prepare(simulator);
      const token = await tokenOf(simulator.entraUrl);
      const headers = { authorization: `Bearer ${token}` };
      const url = `${simulator.graphUrl}/users`;
      simulator.commands.faults.run({
        add: [
          { trouble: { kind: "reset" } },
          { trouble: { kind: "truncated" } },
          { trouble: { kind: "html", status: 200 } },
        ],
      });
      await expect(fetch(url, { headers })).rejects.toThrow();
      const cut = await fetch(url, { headers });
      await expect(cut.json()).rejects.toThrow(SyntaxError);
      const page = await fetch(url, { headers });
      expect([page.status, page.headers.get("content-type")]).toEqual([200, "text/html"]);
      expect((await fetch(url, { headers })).status).toBe(200);
    });
  });

  test("permissions come with the token, and a new token comes with what was revoked", async () => {
    await withSimulator({}, async (simulator) => {
      prepare(simulator);
      const before = await tokenOf(simulator.entraUrl);
      simulator.commands.revoke.run({ tid, clientId, permissions: ["User.Read.All"] });
      const after = await tokenOf(simulator.entraUrl);
      expect(await read(`${simulator.graphUrl}/users`, before)).toMatchObject({ status: 200 });
      expect(await read(`${simulator.graphUrl}/users`, after)).toMatchObject({ status: 403 });
    });
  });
});

describe("the control port", () => {
  test("knows nobody without the secret, and no foreign host", async () => {
    await withSimulator({}, async ({ controlUrl, controlSecret }) => {
      expect(await command({ controlUrl, controlSecret: "wrong" }, "list", {})).toMatchObject({ status: 401 });
      expect(await command({ controlUrl, controlSecret }, "list", {})).toMatchObject({ status: 200, tenants: [] });
      const status = await new Promise<number | undefined>((resolve, reject) => {
        const asked = request(`${controlUrl}/list`, { method: "POST", headers: { host: "evil.example" } }, (answer) => {
          answer.resume();
          resolve(answer.statusCode);
        });
        asked.on("error", reject);
        asked.end();
      });
      expect(status).toBe(421);
    });
  });

  test("makes tenants, changes them, observes, and says what was asked of Graph", async () => {
    await withSimulator({}, async (simulator) => {
      const made = await command(simulator, "create-tenant", spec);
      expect(made).toMatchObject({ status: 200, tid });
      expect(Array.isArray(made["accounts"])).toBe(true);
      await command(simulator, "register-app", app);
      await command(simulator, "grant", { tid, clientId });
      const mutations = [user(1), group(2, [[guid(1), "user"]])];
      expect(await command(simulator, "mutate", { tid, mutations })).toMatchObject({ status: 200, sequence: 2 });
      const random = await command(simulator, "random-changes", { tid, seed: 4, count: 5 });
      expect(Number(random["sequence"])).toBeGreaterThanOrEqual(7);
      await command(simulator, "observe", { tid });
      const { people, groups } = await command(simulator, "oracle", { tid });
      expect(people).toMatchObject({ [guid(1)]: { state: expect.any(String) } });
      expect(groups).toHaveProperty(guid(2));
      const { strings } = await command(simulator, "personal-strings", { tid });
      expect(strings).toContain("user1@contoso.example");
      const { mark } = await command(simulator, "requests", {});
      await read(`${simulator.graphUrl}/users/${guid(1)}?$select=id`, await tokenOf(simulator.entraUrl));
      const { requests } = await command(simulator, "requests", { since: mark });
      expect(requests).toMatchObject([{ method: "GET", path: "/users/{id}", status: 200, tid, link: "none" }]);
      expect(JSON.stringify(requests)).not.toContain(guid(1));
    });
  });

  test("refuses what is wrong in one sentence and changes nothing", async () => {
    await withSimulator({}, async (simulator) => {
      prepare(simulator);
      const { sequence } = simulator.world.tenants.get(tid)?.directory ?? { sequence: -1 };
      for (const [name, body] of [
        ["create-tenant", spec],
        ["create-tenant", { seed: 1 }],
        ["mutate", { tid, mutations: [{ op: "delete-user", id: guid(77) }] }],
        ["mutate", { tid, mutations: [{ op: "explode" }] }],
        ["mutate", { tid: "nowhere", mutations: [] }],
        ["switches", { tid, traits: { nonsense: 1 } }],
        ["entra-switches", { nonsense: 1 }],
        ["grant", { tid, clientId: "unknown" }],
      ] as const) {
        expect(await command(simulator, name, body), name).toMatchObject({ status: 400, error: expect.any(String) });
      }
      expect(await command(simulator, "nonsense", {})).toMatchObject({ status: 404 });
      expect(simulator.world.tenants.get(tid)?.directory.sequence).toBe(sequence);
    });
  });

  test("moves the clock, past the life of a token and of a link", async () => {
    await withSimulator({}, async (simulator) => {
      prepare(simulator);
      const token = await tokenOf(simulator.entraUrl);
      const { "@odata.deltaLink": link } = await read(`${simulator.graphUrl}/users/delta?$select=id`, token);
      await command(simulator, "clock", { advanceSeconds: 8 * 24 * 3600 });
      expect(await read(String(link), token)).toMatchObject({ status: 401 });
      const fresh = await tokenOf(simulator.entraUrl);
      expect(await read(String(link), fresh)).toMatchObject({
        status: 400,
        error: { code: "Request_UnsupportedQuery" },
      });
    });
  });
});

test("the world and its delta links survive a SIGKILL", async () => {
  const dataDir = newFolder();
  const module = new URL("../../../src/local/simulator/main.ts", import.meta.url);
  const start = (graphPort: number) =>
    startChild<SimulatorOptions, SimulatorAddresses>(module, { tls, dataDir, graphPort });
  const first = await start(0);
  await command(first.ready, "create-tenant", spec);
  await command(first.ready, "register-app", app);
  await command(first.ready, "grant", { tid, clientId });
  await command(first.ready, "switches", { tid, mode: "calm" });
  const { "@odata.deltaLink": link } = await read(
    `${first.ready.graphUrl}/users/delta?$select=displayName`,
    await tokenOf(first.ready.entraUrl),
  );
  await command(first.ready, "mutate", { tid, mutations: [user(1)] });
  await first.kill();

  const second = await start(Number(new URL(first.ready.graphUrl).port));
  try {
    await command(second.ready, "switches", { tid, mode: "calm" });
    const next = await read(String(link), await tokenOf(second.ready.entraUrl));
    expect(entriesOf(next)).toEqual([{ id: guid(1), displayName: "User 1" }]);
  } finally {
    await second.stop();
  }
});
