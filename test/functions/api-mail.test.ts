/** The mail of a dry run through the API, the queue and the timer, as composed from settings. */
import { InvocationContext } from "@azure/functions";
import { ManagedIdentityCredential } from "@azure/identity";
import { QueueClient } from "@azure/storage-queue";
import { afterAll, beforeAll, expect, test } from "vitest";
import { openCosmos } from "../../src/adapters/cosmos/client.ts";
import { directoryStore } from "../../src/adapters/cosmos/directory-store.ts";
import { handshakeStore } from "../../src/adapters/cosmos/handshake-store.ts";
import { secretStore } from "../../src/adapters/key-vault/secret-store.ts";
import { administratorPlace } from "../../src/core/consent/proof.ts";
import { makeKeys } from "../../src/core/crypto/keys.ts";
import { seal } from "../../src/core/crypto/seal.ts";
import { syncQueue } from "../../src/core/jobs.ts";
import { workOnHint } from "../../src/functions/directory-sync.queue.ts";
import { type MailCatcher, startMailCatcher } from "../../src/local/mail/catcher.ts";
import { makeAmbient } from "../support/sync-stage.ts";
import { type ApiStage, startApi } from "./api-stage.ts";

let catcher: MailCatcher;
let api: ApiStage;
beforeAll(async () => {
  catcher = await startMailCatcher();
  api = await startApi({
    SMTP_URL: catcher.smtpUrl,
    MAIL_FROM: "sync@vendor.example",
    PRODUCT_URL: "https://app.product.example",
  });
});
afterAll(async () => {
  await api.close();
  await catcher.close();
});

/** Consent has tests of its own: here the proof of a person of the tenant is laid down. */
const prove = async (id: string, tid: string): Promise<string> => {
  const people = [...api.simulator.world.tenants.get(tid)!.directory.users.values()];
  const { id: oid, properties } = people.find(
    (one) =>
      String(one.properties.mail).endsWith("@contoso.example") &&
      one.properties.accountEnabled === true &&
      one.properties.userType === "Member",
  )!;
  const handles = openCosmos(api.cosmos);
  const ambient = makeAmbient();
  const store = directoryStore(handles.directory);
  const credential = new ManagedIdentityCredential({});
  const secrets = secretStore({ url: api.vault.url, credential, disableChallengeResourceVerification: true });
  const ring = await makeKeys({ ambient, secrets, store, handshakes: handshakeStore(handles.handshakes) }).ring(id);
  await handles.directory.items.create({
    id: "proof:read",
    kind: "proof",
    connectionId: id,
    v: 1,
    tier: "read",
    tid,
    clientId: "c",
    roles: [],
    provenAt: new Date().toISOString(),
    administrator: seal(ambient, ring.sealing, administratorPlace(id, "read"), {
      oid,
      name: "somebody",
      userPrincipalName: "claimed@evil.example",
    }),
  });
  handles.dispose();
  return String(properties.mail);
};

test("goes out by the queue, is shown on the run, and leaves nothing personal in the log", async () => {
  const { id, tid } = await api.connect(20, 3);
  const address = await prove(id, tid);
  const runs = `/api/v1/connections/${id}/runs`;
  const refused = await api.call("POST", runs, { body: { mode: "full", mail: true } });
  expect([refused.status, refused.body.code, refused.body.field]).toEqual([400, "invalid-request", "mail"]);

  const queue = new QueueClient(api.queues.connectionString, syncQueue);
  const asked = await api.call("POST", runs, { body: { mode: "dry-run", mail: true } });
  expect([asked.status, asked.body.mail]).toMatchObject([202, { state: "waiting" }]);
  const run = `${runs}/${String(asked.body.id)}`;
  expect((await api.call("POST", `${run}/mail`)).body.code).toBe("state-conflict");
  await queue.clearMessages();
  await api.cases.work({ connectionId: id, receivedAt: Date.now() });

  const log: string[] = [];
  const logHandler = (_level: unknown, ...parts: unknown[]) => void log.push(parts.join(" "));
  const context = new InvocationContext({ invocationId: "i-1", functionName: "f", logHandler });
  const deliverNext = async (): Promise<void> => {
    const { receivedMessageItems } = await queue.receiveMessages({ numberOfMessages: 32 });
    for (const { messageText } of receivedMessageItems)
      await workOnHint(() => api.cases)(JSON.parse(Buffer.from(messageText, "base64").toString("utf8")), context);
  };
  catcher.refuseNext(1);
  await deliverNext();
  expect((await api.call("GET", run)).body).toMatchObject({
    outcome: "dry-run",
    failure: null,
    mail: { state: "failed", reason: "mail-server-unavailable" },
  });
  expect(await api.call("POST", `${run}/mail`)).toMatchObject({ status: 202, body: { mail: { state: "waiting" } } });
  await deliverNext();
  expect((await api.call("GET", run)).body.mail).toMatchObject({ state: "sent", reason: null });
  expect(catcher.messages().map(({ to }) => to)).toEqual([[address]]);

  expect(log.filter((line) => line.includes("mail-")).map((line) => JSON.parse(line).outcome)).toEqual([
    "mail-failed",
    "mail-sent",
  ]);
  const subject = catcher.messages()[0]?.subject ?? "";
  const said = [...log, ...api.log].join("\n");
  expect([address, subject, "@contoso.example", "somebody"].filter((words) => said.includes(words))).toEqual([]);
});

test("is found by the timer when its hint is lost", async () => {
  const { id, tid } = await api.connect(5, 1);
  await prove(id, tid);
  await api.call("POST", `/api/v1/connections/${id}/runs`, { body: { mode: "dry-run", mail: true } });
  await api.cases.work({ connectionId: id, receivedAt: Date.now() });
  const queue = new QueueClient(api.queues.connectionString, syncQueue);
  await queue.clearMessages();
  expect(await api.cases.wake()).toBe(1);
  const { receivedMessageItems } = await queue.receiveMessages();
  const [text = ""] = receivedMessageItems.map(({ messageText }) => Buffer.from(messageText, "base64").toString());
  expect(JSON.parse(text)).toMatchObject({ hint: { connectionId: id, mail: expect.stringMatching(/^[0-9a-z]{26}$/) } });
});
