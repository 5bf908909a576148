/** Export, erasure and a database that is put back, through the API as composed from settings, with real keys in the vault. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type CosmosHandles, openCosmos } from "../../src/adapters/cosmos/client.ts";
import { keyCacheMilliseconds } from "../../src/core/crypto/keys.ts";
import { ErasureReceipt } from "../../src/core/privacy/erase-person.ts";
import { PersonExport } from "../../src/core/privacy/export-person.ts";
import { ledgerName } from "../../src/core/privacy/ledger.ts";
import { PrivacyRecord } from "../../src/core/privacy/record.ts";
import { proveKeys, secretsOf } from "../support/proven-keys.ts";
import { type ApiStage, startApi } from "./api-stage.ts";

let api: ApiStage;
let handles: CosmosHandles;
let id: string;
let base: string;
let people: string[];
const secrets = () => secretsOf(api.vault.url);

beforeAll(async () => {
  api = await startApi();
  handles = openCosmos(api.cosmos);
  ({ id } = await api.connect(30, 6));
  base = `/api/v1/connections/${id}`;
  // Consent has tests of its own: what it does to the keys is done here.
  await proveKeys(api.vault.url, handles, id);
  const { body } = await api.call("GET", `${base}/people`, { query: { limit: "10" } });
  people = (body.items as { id: string }[]).map((person) => person.id);
});
afterAll(async () => {
  handles.dispose();
  await api.close();
});

const documents = async () =>
  (await handles.directory.items.query<Record<string, unknown>>("SELECT * FROM c", { partitionKey: id }).fetchAll())
    .resources;
const erase = (person: string) => api.call("POST", `${base}/people/${person}/erase`, { body: { person } });
const stateOf = async (person: string) => (await api.call("GET", `${base}/people/${person}`)).body.state;

describe("one person", () => {
  test("is exported, and the access log says to whom", async () => {
    const [person = ""] = people;
    const { status, body } = await api.call("POST", `${base}/people/${person}/export`, { body: {} });
    expect(status).toBe(200);
    expect(PersonExport.parse(body).person?.record?.attributes).toHaveProperty("displayName");
    const log = await api.cases.edge.access.list("acme", new Date().toISOString().slice(0, 7), { limit: 1000 });
    expect(log.at(-1)).toMatchObject({ what: "read", route: "people.export", objects: [person], subject: "ada" });
  });

  test("is erased by whoever has the right, with a receipt", async () => {
    const [person = ""] = people;
    const without = await api.tokenFor("acme", ["directory:read", "integration:setup", "integration:sync"]);
    const refused = await api.call("POST", `${base}/people/${person}/erase`, { body: { person }, token: without });
    expect(refused.body.code).toBe("permission-missing");
    expect(await stateOf(person)).toBe("active");
    const { status, body } = await erase(person);
    expect(status).toBe(200);
    const receipt = ErasureReceipt.parse(body);
    expect(await stateOf(person)).toBe("erased");
    const log = await api.cases.edge.access.list("acme", new Date().toISOString().slice(0, 7), { limit: 1000 });
    expect(log.find(({ what }) => what === "person-erased")).toMatchObject({
      objects: [person],
      subject: "ada",
      receipt: { live: receipt.live, caches: receipt.caches, backups: receipt.backups },
    });
  });
});

describe("yesterday's copy of the database", () => {
  test("brings nobody back: nothing is served before the ledger in the vault has been replayed", async () => {
    const [, late = "", other = ""] = people;
    const yesterday = await documents();
    expect((await erase(late)).status).toBe(200);
    for (const { id: document } of await documents()) await handles.directory.item(String(document), id).delete();
    for (const { _rid, _self, _etag, _attachments, _ts, ...document } of yesterday)
      await handles.directory.items.create(document);
    const record = async () => (await handles.directory.item(`u:${late}`, id).read()).resource as { record: unknown };
    expect((await record()).record).toEqual(expect.any(String));

    // The app was stopped and starts: no instance holds a key.
    api.advance(keyCacheMilliseconds + 1);
    const ledger = await secrets().get(ledgerName(id));
    await secrets().set(ledgerName(id), "unreadable");
    const unserved = await api.call("GET", `${base}/people/${other}`);
    expect([unserved.status, unserved.body.code]).toEqual([503, "keys-unavailable"]);
    await secrets().set(ledgerName(id), ledger ?? "");

    expect(await stateOf(other)).toBe("active");
    expect(await stateOf(late)).toBe("erased");
    expect((await record()).record).toBeNull();
    const text = JSON.stringify((await documents()).filter(({ id: document }) => String(document) === `u:${late}`));
    expect(text).not.toContain("wrapped");
    const { body } = await api.call("GET", `${base}/changes`, { query: { after: "0", limit: "200" } });
    const erased = (body.items as { type: string; object: string; cause: string }[]).filter(
      ({ type, object }) => type === "person.erased" && object === late,
    );
    expect(erased.map(({ cause }) => cause)).toEqual(["restore"]);
  });
});

describe("the record of processing", () => {
  test("is shown to whoever answers for privacy, in the form that is published", async () => {
    const { status, body } = await api.call("GET", `${base}/privacy/record`, {
      token: await api.tokenFor("acme", ["privacy:manage"]),
    });
    expect(status).toBe(200);
    expect(PrivacyRecord.parse(body).items.length).toBeGreaterThan(15);
    const refused = await api.call("GET", `${base}/privacy/record`, {
      token: await api.tokenFor("acme", ["directory:read", "audit:read"]),
    });
    expect(refused.status).toBe(403);
  });
});
