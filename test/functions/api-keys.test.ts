/** The keys of a connection over HTTP and by the timer; and that no key is ever seen outside the vault and the sealed ring. */

import { InvocationContext, type Timer } from "@azure/functions";
import { ManagedIdentityCredential } from "@azure/identity";
import { SecretClient } from "@azure/keyvault-secrets";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type CosmosHandles, openCosmos } from "../../src/adapters/cosmos/client.ts";
import type { Keys } from "../../src/core/crypto/keys.ts";
import { KeysView } from "../../src/core/keys/manage.ts";
import { spreadMilliseconds } from "../../src/core/keys/rekey.ts";
import { careForKeys } from "../../src/functions/key-care.timer.ts";
import { proveKeys } from "../support/proven-keys.ts";
import { type ApiStage, type Call, startApi } from "./api-stage.ts";

let api: ApiStage;
let handles: CosmosHandles;
let keys: Keys;
let base: string;
let id: string;
const answers: string[] = [];
beforeAll(async () => {
  api = await startApi();
  handles = openCosmos(api.cosmos);
  ({ id } = await api.connect(12, 2));
  base = `/api/v1/connections/${id}`;
  keys = await proveKeys(api.vault.url, handles, id);
});
afterAll(async () => {
  handles.dispose();
  await api.close();
});

const call = async (method: string, path: string, request: Call = {}) => {
  const answer = await api.call(method, `${base}${path}`, request);
  answers.push(JSON.stringify([answer.body, answer.text, [...answer.headers]]));
  return answer;
};
/** As the host calls it. */
const tick = async (): Promise<void> => {
  const context = new InvocationContext({
    functionName: "key-care",
    logHandler: (_level, ...parts) => void api.log.push(parts.join(" ")),
  });
  await Promise.resolve(careForKeys(() => api.cases)({} as Timer, context)).catch(() => undefined);
};
const wait = () => api.advance(spreadMilliseconds + 1000);
const nameOf = async (): Promise<unknown> => (await call("GET", "")).body.displayName;

describe("the keys of a connection", () => {
  test("are shown to those who may secure it, and replaced on their word, once an hour", async () => {
    const first = await call("GET", "/keys");
    expect([first.status, KeysView.parse(first.body).generation]).toEqual([200, 1]);
    const reader = await api.tokenFor("acme", ["integration:read", "directory:read"]);
    for (const [method, path] of [
      ["GET", ""],
      ["POST", "/rotate"],
      ["POST", "/rekey"],
    ] as const)
      expect((await call(method, `/keys${path}`, { token: reader })).status).toBe(403);
    const rotated = await call("POST", "/keys/rotate");
    expect([rotated.status, rotated.body.generation]).toEqual([200, 2]);
    const again = await call("POST", "/keys/rotate");
    expect([again.status, again.body.code]).toEqual([429, "rate-limited"]);
    expect(Number(again.headers.get("retry-after"))).toBeGreaterThan(3000);
    expect((await call("GET", "/people")).status).toBe(200);
  });

  test("are told of in the feed, to those who may know", async () => {
    const reader = await api.tokenFor("acme", ["directory:read"]);
    const about = async (token?: string) => {
      const { body } = await call("GET", "/changes", { query: { limit: "200" }, ...(token ? { token } : {}) });
      return (body.items as { object: string; content: string; changes: unknown[] }[]).filter(
        ({ object }) => object === "keys",
      );
    };
    expect(await about()).toMatchObject([{ content: "open", changes: [{ field: "generation", before: 1, after: 2 }] }]);
    expect(await about(reader)).toMatchObject([{ content: "withheld", changes: [] }]);
  });

  test("are all replaced on request, with the name, and the answer says where to look how far it is", async () => {
    const wrong = await call("POST", "/keys/rekey", { body: { displayName: "Another" } });
    expect([wrong.status, wrong.body.field]).toEqual([400, "displayName"]);
    const begun = await call("POST", "/keys/rekey", { body: { displayName: await nameOf() } });
    expect([begun.status, begun.headers.get("location")]).toEqual([202, `${base}/keys`]);
    const phase = async () => KeysView.parse((await call("GET", "/keys")).body).rekey?.phase ?? null;
    const phases = [await phase()];
    for (let turn = 0; turn < 3; turn++) {
      wait();
      await tick();
      phases.push(await phase());
    }
    expect(phases).toEqual(["announced", "spreading", null, null]);
    const { body } = await call("GET", "/people", { query: { limit: "200" } });
    expect((body.items as unknown[]).length).toBeGreaterThan(5);
    expect(api.log.join("\n")).toContain('"event":"key-care"');
  });
});

test("the timer says how much there was to do, and is an alarm when something failed", async () => {
  const lines: string[] = [];
  const logHandler = (level: string, ...parts: unknown[]) => void lines.push(`${level} ${parts.join(" ")}`);
  const ticking = async (problem: "keys-unavailable" | null) => {
    const care = { connections: 2, failed: problem ? 1 : 0, problem, platformMade: null, platformDeleted: 0 };
    const context = new InvocationContext({ functionName: "key-care", logHandler });
    await careForKeys(() => ({ careForKeys: async () => care }))({} as Timer, context);
  };
  await ticking(null);
  await ticking("keys-unavailable");
  expect(lines).toEqual([
    'information {"event":"key-care","connections":2,"failed":0,"platformDeleted":0}',
    'error {"event":"key-care","connections":2,"failed":1,"platformDeleted":0,"alarm":"keys-unavailable"}',
  ]);
});

describe("a vault that is away", () => {
  test("is an answer that can be repeated and an alarm, and nothing is lost", async () => {
    api.advance(3_600_000);
    api.vault.faults.unavailableNext = 1000;
    expect((await call("POST", "/keys/rotate")).body).toMatchObject({ code: "keys-unavailable", retryable: true });
    await tick();
    expect(api.log.join("\n")).toContain("keys-unavailable");
    api.vault.faults.unavailableNext = 0;
    api.advance(30_000);
    expect((await call("GET", "/people")).status).toBe(200);
    await tick();
    expect((await call("GET", "/keys")).body).toMatchObject({ rotating: false, rekey: null });
  });
});

test("no key is in an answer, a log line or a document", async () => {
  const credential = new ManagedIdentityCredential({});
  const operator = new SecretClient(api.vault.url, credential, { disableChallengeResourceVerification: true });
  const secret: Buffer[] = [];
  for await (const { name } of operator.listPropertiesOfSecrets())
    if (/-k\d+$|^platform-names$/.test(name)) {
      const { value = "" } = await operator.getSecret(name);
      secret.push(Buffer.from(value, "base64url"));
    }
  const { sealing, wrapping, index } = await keys.ring(id);
  for (const { key, others = [] } of [sealing, wrapping])
    secret.push(key.export(), ...others.map((other) => other.key.export()));
  secret.push(index.export());
  expect(secret.length).toBeGreaterThan(6);
  const stored = handles.directory.items.query<object>("SELECT * FROM c", { partitionKey: id });
  const documents = JSON.stringify((await stored.fetchAll()).resources);
  const seen = [...answers, ...api.log, documents].join("\n");
  expect(seen.length).toBeGreaterThan(10_000);
  for (const bytes of secret)
    for (const form of ["base64url", "base64", "hex"] as const) expect(seen).not.toContain(bytes.toString(form));
});
