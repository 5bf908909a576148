/**
 * Nothing readable: the product lives through a day - approvals and denials, syncs, failures, refused calls, a killed host - with
 * everything on disk. Then all that it has left behind is searched for what it knows of people, and for its own secrets.
 */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { deflateRawSync } from "node:zlib";
import { QueueServiceClient } from "@azure/storage-queue";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { HintMessage, syncQueue } from "../../src/core/jobs.ts";
import type { Trouble } from "../../src/local/simulator/graph/faults.ts";
import { developmentClientId } from "../../src/local/stack/registration.ts";
import {
  admitEverybody,
  approve,
  begin,
  type Caller,
  callerOf,
  createDraft,
  expectStatus,
  runNow,
  settled,
  startConsent,
  until,
} from "../support/api.ts";
import { consent } from "../support/browser.ts";
import {
  filesIn,
  type Leftovers,
  leftIn,
  type Message,
  peekQueues,
  plantedPlaces,
  plantInDatabase,
  vaultIn,
} from "../support/leftovers.ts";
import { startTestStack, type TestStack } from "../support/stack.ts";
import { documentsIn, finderOf, type StoredDocument, tracesOf } from "../support/traces.ts";

const dataDir = mkdtempSync(join(tmpdir(), "secrecy-"));

/** What the product's own people are called, type and come from. None of these is a word that anything else would use. */
const own = {
  displayName: "Head office of Wobblethorpe Ltd",
  renamed: "Head office of Quibblestone Ltd",
  secondName: "Branch office of Snorkelby plc",
  subject: "auth0|zinnia.featherstonehaugh",
  otherSubject: "auth0|barnaby.cholmondeley",
  productUser: "product-user-marmalade-7731",
  callerIp: "203.0.113.77",
  browserIp: "198.51.100.23",
};
/** Written down in clear, on purpose, where nothing should be: the search has to find it. */
const planted = "Persephone Plantagenet-Planted";
const poisoned = "Ignatius Poisoned-Chalice";

const tenantSpec = { users: 70, groups: 12, seed: 41, domain: "t41.example" };
const secondSpec = { users: 150, groups: 10, seed: 43, domain: "t43.example" };

let stack: TestStack;
const tokens: string[] = [];
const personal: string[] = [];
let left: Leftovers;
let plantedDocuments: StoredDocument[] = [];
let tid = "";
let connectionId = "";
/** Answers that somebody takes along, and what only the person was called who had been erased before. */
const exported: string[] = [];
let erasedWords: string[] = [];
let call: Caller;

beforeAll(async () => {
  stack = await startTestStack({ dataDir, seed: 14, environment: { CLIENT_IP_FROM: "hops:2" } });
  const issued = stack.tokenFor;
  stack.tokenFor = async (claims) => {
    const token = await issued(claims);
    tokens.push(token);
    return token;
  };
  call = callerFor(own.subject);
}, 60_000);
afterAll(async () => {
  await stack.stop();
  rmSync(dataDir, { recursive: true, force: true });
});

const callerFor = (subject: string): Caller =>
  callerOf(stack, { workspace: "acme", subject, headers: { "x-forwarded-for": own.callerIp } });

describe("a day", { timeout: 120_000 }, () => {
  let administrator = "";
  let nobody = "";
  const path = () => `/connections/${connectionId}`;
  const browserHeaders = { "x-forwarded-for": own.browserIp };

  it("begins with approvals that come to nothing", async () => {
    const { command } = stack.simulator;
    const made = await command("create-tenant", tenantSpec);
    tid = made.tid;
    administrator = made.accounts[0]?.objectId ?? "";
    nobody = made.accounts.find(({ directoryRoles }) => directoryRoles.length === 0)?.objectId ?? "";
    connectionId = await createDraft(call, own.displayName);
    await admitEverybody(call, connectionId);
    const outcomeOf = async (...clicks: Parameters<typeof consent>[1]) =>
      (await consent(await startConsent(call, connectionId), clicks, browserHeaders)).searchParams.get("error");
    expect(await outcomeOf("cancel")).toBe("consent-declined");
    expect(await outcomeOf({ account: nobody })).toBe("consent-not-administrator");
    expect(await outcomeOf({ account: administrator }, "cancel")).toBe("consent-declined");
    await command("entra-switches", { withheldPermissions: ["User.Read.All"] });
    expect(await outcomeOf({ account: administrator }, { account: administrator })).toBe("consent-roles-missing");
    await command("entra-switches", { withheldPermissions: [] });

    const stolen = await approve(call, connectionId, administrator);
    const thief = callerFor(own.otherSubject);
    await expectStatus(403, thief("POST", `${path()}/consent/complete`, { body: { code: stolen } }));
  });

  it("goes on with a first sync, changes, a link, a new name", async () => {
    const click = { account: administrator };
    const back = await consent(await startConsent(call, connectionId), [click, click], browserHeaders);
    const code = back.searchParams.get("code");
    await expectStatus(200, call("POST", `${path()}/consent/complete`, { body: { code } }));
    await begin(call, connectionId);
    expect(await settled(call, connectionId)).toMatchObject({ mode: "full", outcome: "done" });
    for (const seed of [1, 2]) {
      await stack.simulator.command("random-changes", { tid, seed, count: 25 });
      expect(await runNow(call, connectionId)).toMatchObject({ mode: "delta", outcome: "done" });
    }
    const people = await expectStatus(200, call("GET", `${path()}/people`));
    const [person] = people.body.items as { id: string }[];
    await expectStatus(
      200,
      call("PUT", `${path()}/people/${person?.id}/product-user`, { body: { productUserId: own.productUser } }),
    );
    const { strings } = await stack.simulator.command("personal-strings", { tid });
    const mail = strings.find((text) => /^[^:]+@/.test(text));
    const candidates = [{ productUserId: own.productUser, mail, userPrincipalName: mail }];
    await expectStatus(200, call("POST", `${path()}/product-users/match`, { body: { candidates } }));
    await expectStatus(200, call("POST", `${path()}/changes/ack`, { body: { consumer: "mirror", sequence: 1 } }));
    const { headers } = await expectStatus(200, call("GET", path()));
    const ifMatch = { "if-match": headers.get("etag") ?? "" };
    await expectStatus(200, call("PATCH", path(), { body: { displayName: own.renamed }, headers: ifMatch }));
    const { text } = await expectStatus(200, call("GET", `${path()}/changes?limit=200`));
    // Otherwise the search for these would prove nothing.
    for (const known of [own.subject, own.callerIp, own.browserIp, own.displayName, own.productUser, administrator])
      expect(text).toContain(known);
  });

  it("has somebody in it who is given out and erased, and logs that are taken along", async () => {
    const people = await expectStatus(200, call("GET", `${path()}/people`));
    const [, person] = people.body.items as { id: string; attributes: Record<string, unknown> }[];
    const given = await expectStatus(200, call("POST", `${path()}/people/${person?.id}/export`, { body: {} }));
    const { mail, userPrincipalName } = person?.attributes ?? {};
    erasedWords = [mail, userPrincipalName].filter((text) => typeof text === "string");
    for (const word of erasedWords) expect(given.text).toContain(word);
    expect(await runNow(call, connectionId, "dry-run")).toMatchObject({ outcome: "dry-run" });
    await expectStatus(200, call("POST", `${path()}/people/${person?.id}/erase`, { body: { person: person?.id } }));
    for (const address of [
      `${path()}/audit?limit=200`,
      `${path()}/audit/export?format=csv`,
      `${path()}/audit/export?format=jsonl`,
      `${path()}/audit/verify`,
      `${path()}/changes?limit=200`,
      `${path()}/snapshot?limit=200`,
      `${path()}/privacy/record`,
      "/audit/export?format=csv",
      "/audit/export?format=jsonl",
    ])
      exported.push((await expectStatus(200, call("GET", address))).text);
    exported.push((await expectStatus(200, call("POST", `${path()}/people/${person?.id}/export`, { body: {} }))).text);
  });

  it("has refused calls in it, which name people", async () => {
    const upn = `${administrator}@t41.example`;
    const status = async (...request: Parameters<Caller>) => (await call(...request)).status;
    expect(await status("GET", `${path()}/people?search=${upn}`)).toBe(400);
    expect(await status("GET", `${path()}/people/${encodeURIComponent(upn)}`)).toBe(404);
    expect(await status("GET", `${path()}/people/${administrator}`)).toBe(404);
    expect(await status("GET", `${path()}/groups/${administrator}/members`)).toBe(404);
    expect(await status("GET", `${path()}/people?cursor=${upn}`)).toBe(400);
    expect(await status("GET", `/people/${upn}`)).toBe(404);
    expect(await status("GET", `/connections/${upn}`)).toBe(404);
    expect(await status("POST", `${path()}/runs`, { body: { mode: upn } })).toBe(400);
    expect(await status("POST", `${path()}/runs`, { body: { mode: "delta", [upn]: upn } })).toBe(400);
    expect(await status("POST", `${path()}/runs`, { body: `{"mode": "${upn}` })).toBe(400);
    expect(await status("PATCH", path(), { body: { displayName: upn }, headers: { "if-match": upn } })).toBe(412);
    expect(await status("GET", path(), { headers: { authorization: `Bearer ${upn}` } })).toBe(401);
    expect(await status("GET", path(), { headers: { authorization: "Bearer a.b.c" } })).toBe(401);
    const reader = callerOf(stack, { workspace: "acme", subject: own.otherSubject, permissions: [] });
    expect((await reader("GET", `${path()}/people/${administrator}`)).status).toBe(403);
    const stranger = await fetch(`${stack.tlsUrl}/connect/callback/sign-in?code=${upn}&state=${upn}`);
    expect(stranger.status).toBe(410);
  });

  it("has runs that Microsoft disturbs, and one that fails for want of consent", async () => {
    const { command } = stack.simulator;
    const person = (await command("personal-strings", { tid })).strings.find((text) => text.includes("@")) ?? "";
    const troubles: Trouble[] = [
      { kind: "throttle", retryAfterSeconds: 1 },
      { kind: "html", status: 200 },
      { kind: "truncated" },
      { kind: "status", status: 500, message: `${person} cannot be read` },
      { kind: "status", status: 400, code: "Request_BadRequest", message: `Resource '${person}' is not valid` },
    ];
    for (const [number, trouble] of troubles.entries()) {
      await command("faults", { clear: true, add: [{ trouble, tid, path: "^/users/delta" }] });
      await command("random-changes", { tid, seed: 30 + number, count: 5 });
      expect((await runNow(call, connectionId)).outcome).not.toBe("cancelled");
      expect((await command("faults", {})).left).toBe(0);
    }
    await command("revoke", { tid, clientId: developmentClientId });
    // A token that was issued before goes on working, as Microsoft's do.
    await stack.host.restart();
    expect(await runNow(call, connectionId)).toMatchObject({ outcome: "failed", failure: "consent-revoked" });
    await command("grant", { tid, clientId: developmentClientId });
    // Nor does the product ask again within a minute of a refusal.
    await stack.host.restart();
    await command("random-changes", { tid, seed: 50, count: 5 });
    expect((await runNow(call, connectionId)).outcome).toBe("done");
  });

  it("has a queue message in it that nobody can read", async () => {
    const queue = QueueServiceClient.fromConnectionString(stack.queues!.connectionString).getQueueClient(syncQueue);
    const message = { hint: { connectionId: poisoned, receivedAt: Date.now() } };
    await queue.sendMessage(Buffer.from(JSON.stringify(message)).toString("base64"));
    await until("the message in the poison queue", async () => {
      const messages = await peekQueues(stack);
      return messages.some(({ queue: name, text }) => name.endsWith("-poison") && text.includes(poisoned)) || null;
    });
  });

  it("ends with a host killed in the middle of a run", async () => {
    const { command } = stack.simulator;
    const second = await command("create-tenant", secondSpec);
    await command("switches", { tid: second.tid, traits: { pageSize: 20 } });
    // So slow that a slice ends, with a checkpoint, long before the last page.
    const slow = { trouble: { kind: "slow", milliseconds: 1500 }, tid: second.tid, path: "^/users/delta" } as const;
    await command("faults", { clear: true, add: [{ ...slow, times: 100 }] });
    const id = await createDraft(call, own.secondName);
    await admitEverybody(call, id);
    const code = await approve(call, id, second.accounts[0]?.objectId ?? "");
    await expectStatus(200, call("POST", `/connections/${id}/consent/complete`, { body: { code } }));
    await begin(call, id);
    await until("staged parts of both kinds", async () => {
      const documents = documentsIn(await stack.cosmos!.dump());
      // Parts of an earlier run may be about to go.
      const head = documents.find(({ partitionKey, document }) => partitionKey === id && document.kind === "head");
      const run = (head?.document.run as { id: string } | null | undefined)?.id;
      const staged = documents.filter(({ container, partitionKey }) => container === "work" && partitionKey === run);
      const kinds = new Set(staged.map(({ document }) => document.kind));
      return (kinds.has("chunk") && kinds.has("seen")) || null;
    });
    await stack.host.kill();
    // Before it is started again: the run is to stay as it is.
    await stack.host.stop();

    // The message that the dead host had taken shows itself again.
    const isHint = ({ queue, text }: Message) => queue === syncQueue && !text.includes(poisoned);
    await until("a hint in the queue", async () => (await peekQueues(stack)).some(isHint) || null);
    left = await leftIn(stack);
    for (const tenant of [tid, second.tid])
      personal.push(...(await command("personal-strings", { tid: tenant })).strings);
    await plantInDatabase(stack, planted);
    plantedDocuments = (await leftIn(stack)).documents;
    await stack.stop();
  });
});

describe("what is left behind", () => {
  const wordsOfPeople = () => [
    ...personal,
    ...Object.values(own),
    tenantSpec.domain,
    secondSpec.domain,
    `Organisation ${tenantSpec.domain}`,
  ];
  const links = /deltatoken|skiptoken|nextlink|deltalink|\$select/i;
  const jwt = /eyJ[A-Za-z0-9_-]{8,}\.eyJ/;
  const secrets = () => {
    const { env } = stack.hostOptions;
    const pem = readFileSync(env.ENTRA_READ_CLIENT_CERTIFICATE_PATH ?? "", "utf8");
    const keyLines = /-----BEGIN PRIVATE KEY-----([^-]+)-----/.exec(pem)?.[1]?.trim().split(/\r?\n/) ?? [];
    const storageKey = /AccountKey=([^;]+)/.exec(stack.queues!.connectionString)?.[1] ?? "";
    return [
      ...keyLines.filter((line) => line.length > 20),
      ...tokens.map((token) => token.slice(token.lastIndexOf(".") + 1)),
      ...vaultIn(dataDir).values,
      stack.cosmos!.key,
      stack.tokens!.secret,
      stack.simulator.controlSecret,
      env.IDENTITY_HEADER ?? "",
      storageKey,
    ];
  };

  it("is enough to search in", () => {
    const kinds = Map.groupBy(left.documents, ({ container, document }) => `${container} ${String(document.kind)}`);
    for (const kind of [
      "head",
      "connection",
      "ring",
      "proof",
      "person",
      "product-user",
      "group",
      "members",
      "run",
      "log",
    ])
      expect([...kinds.keys()], kind).toContain(`directory ${kind}`);
    expect([...kinds.keys()]).toEqual(expect.arrayContaining(["work chunk", "work seen", "handshakes connect"]));
    expect([...new Set(left.documents.map(({ container }) => container))]).toEqual(
      expect.arrayContaining(["directory", "connections", "work", "access", "shared", "state", "handshakes"]),
    );
    expect(personal.length).toBeGreaterThan(1500);
    expect(secrets().every((secret) => secret.length > 15)).toBe(true);
    expect(secrets().length).toBeGreaterThan(60);
    expect(stack.lines.length).toBeGreaterThan(50);
    expect(filesIn(dataDir).map(({ where }) => where)).toContain("cosmos.sqlite");
  });

  it("are documents in which nobody can be read", () => {
    const { clear, sealed } = tracesOf(left.documents);
    const people = finderOf(wordsOfPeople());
    expect(people.among(clear)).toEqual([]);
    expect(people.inside(sealed)).toEqual([]);
    expect(finderOf(secrets()).among(clear)).toEqual([]);
    expect(clear.filter(({ text }) => links.test(text) || jwt.test(text))).toEqual([]);
    // Where Graph is, and whence somebody called.
    expect(finderOf([stack.simulator.graphUrl, "127.0.0.1"]).among(clear)).toEqual([]);
  });

  it("are sealed texts that look like noise and never share a nonce", () => {
    const { sealed } = tracesOf(left.documents);
    const payloads = new Map(sealed.map(({ payload }) => [payload.toString("base64"), payload]));
    const noise = Buffer.concat([...payloads.values()]);
    expect(noise.length).toBeGreaterThan(100_000);
    expect(deflateRawSync(noise).length).toBeGreaterThan(0.99 * noise.length);
    const nonces = new Set([...payloads.values()].map((payload) => payload.subarray(0, 12).toString("hex")));
    expect(nonces.size).toBe(payloads.size);
  });

  it("are queue messages of ids and times, beside the one that was planted", () => {
    const ours = left.messages.filter(({ text }) => !text.includes(poisoned));
    expect(ours.length).toBeGreaterThan(0);
    for (const { queue, text } of ours) {
      expect(queue).toBe(syncQueue);
      expect(HintMessage.parse(JSON.parse(text)).hint.receivedAt).toBeGreaterThan(1.7e12);
    }
    const traces = left.messages.map(({ queue, text }) => ({ where: queue, text }));
    expect(finderOf([...wordsOfPeople(), ...secrets()]).among(traces)).toEqual([]);
    expect(finderOf([poisoned]).among(traces)).toEqual([`${syncQueue}-poison: ${poisoned}`]);
  });

  it("are log lines and mails without anybody and without a secret", () => {
    const traces = [...stack.lines, ...left.mails].map((text) => ({ where: text.slice(0, 200), text }));
    expect(finderOf([...wordsOfPeople(), ...secrets(), poisoned]).among(traces)).toEqual([]);
    const telling = (text: string) => links.test(text) || jwt.test(text) || /\b1\.[a-z]+-\S{40}/.test(text);
    expect(traces.filter(({ text }) => telling(text))).toEqual([]);
  });

  it("are exports without the person who was erased before, and without a secret", () => {
    const traces = exported.map((text, index) => ({ where: `export ${index}`, text }));
    expect(erasedWords.length).toBeGreaterThan(0);
    expect(finderOf([...erasedWords, ...secrets()]).among(traces)).toEqual([]);
    expect(traces.filter(({ text }) => links.test(text) || jwt.test(text))).toEqual([]);
    // Of others they tell, so that the search could have found somebody.
    expect(finderOf(personal).among(traces).length).toBeGreaterThan(10);
  });

  it("is a vault that names nobody, whose values are nowhere else", () => {
    const { names, values, rest } = vaultIn(dataDir);
    expect(
      names.every((name) =>
        /^(platform-(k\d|names|generations)|c-[0-9a-z]{26}-k\d|erasures-[0-9a-z]{26}|anchor-k\d)$/.test(name),
      ),
    ).toBe(true);
    expect(values.length).toBeGreaterThan(2);
    expect(finderOf(wordsOfPeople()).wordsIn(rest)).toEqual([]);
  });

  it("is a disk from which nobody can be recovered, not even from what was overwritten", () => {
    // The database's pages cannot be parted into clear and sealed; words of ten signs do not come up in ciphertext by chance.
    const people = finderOf([...wordsOfPeople(), ...vaultIn(dataDir).values], 10);
    const written = filesIn(dataDir);
    expect(people.among(written)).toEqual([]);
    expect(written.filter(({ text }) => jwt.test(text)).map(({ where }) => where)).toEqual([]);
    expect(finderOf([planted], 10).among(written)).toContain(`cosmos.sqlite: ${planted}`);
  });

  it("would have been found if it were there", () => {
    const { clear, sealed } = tracesOf(plantedDocuments);
    const finder = finderOf([planted]);
    const found = [...finder.among(clear), ...finder.inside(sealed)].map((hit) => hit.split(".")[0]?.split(":")[0]);
    expect(new Set(found)).toEqual(new Set(plantedPlaces));
    for (const word of [...personal, ...Object.values(own)].filter((text) => text.length >= 7))
      expect(finderOf([word]).wordsIn(`It was ${word}.`)).toEqual([word]);
  });
});
