import { InvocationContext, type Timer } from "@azure/functions";
import { QueueClient } from "@azure/storage-queue";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openCosmos } from "../src/adapters/cosmos/client.ts";
import { useCases } from "../src/composition.ts";
import { HintMessage, syncQueue } from "../src/core/jobs.ts";
import { workOnHint } from "../src/functions/directory-sync.queue.ts";
import { wakeConnections } from "../src/functions/directory-sync.timer.ts";
import { onMessage, onTick } from "../src/functions/edge/trigger.ts";
import { handlers } from "../src/functions/handlers.ts";
import { apiFunctions } from "../src/functions/register.ts";
import { type ApiStage, performOn, startApi } from "./functions/api-stage.ts";

const timer: Timer = {
  isPastDue: false,
  schedule: { adjustForDST: false },
  scheduleStatus: { last: "", next: "", lastUpdated: "" },
};
const contextFor = (log: string[]): InvocationContext =>
  new InvocationContext({
    invocationId: "i-1",
    functionName: "f",
    logHandler: (_level, ...parts) => void log.push(parts.join(" ")),
  });

describe("settings that are missing", () => {
  test("are a plain 500 on first use, and the log names them", async () => {
    const log: string[] = [];
    const functions = apiFunctions(useCases, handlers);
    const answer = await performOn(functions, log, "GET", "/api/v1/connections", { token: null });
    expect([answer.status, answer.body.code]).toEqual([500, "not-configured"]);
    expect(JSON.stringify(answer.body)).not.toContain("COSMOS_ENDPOINT");
    expect(log.join("\n")).toContain("COSMOS_ENDPOINT is missing");
    expect(log.join("\n")).toContain("KEY_VAULT_URL is missing");
  });
});

describe("what is composed", () => {
  let api: ApiStage;
  beforeAll(async () => {
    api = await startApi();
  });
  afterAll(() => api.close());

  test("wakes a due connection by timer and queue, and works on it", async () => {
    const { id } = await api.connect(20, 3);
    const queue = new QueueClient(api.queues.connectionString, syncQueue);
    await queue.clearMessages();
    const handles = openCosmos(api.cosmos);
    await handles.directory.item("head", id).patch([
      { op: "set", path: "/wakeAt", value: Date.now() - 1000 },
      { op: "set", path: "/dueAt", value: Date.now() - 1000 },
    ]);
    const log: string[] = [];
    await wakeConnections(() => api.cases)(timer, contextFor(log));
    const [message] = (await queue.receiveMessages()).receivedMessageItems;
    const sent: unknown = JSON.parse(Buffer.from(message?.messageText ?? "", "base64").toString("utf8"));
    expect(HintMessage.parse(sent).hint.connectionId).toBe(id);
    await workOnHint(() => api.cases)(sent, contextFor(log));
    expect(log).toEqual([
      '{"event":"directory-sync-wake","due":1}',
      `{"event":"directory-sync-work","connection":"${id}","outcome":"done"}`,
    ]);
    const { resource } = await handles.directory.item("head", id).read();
    handles.dispose();
    expect([resource.owner, resource.run, resource.lastRound.cause]).toEqual([null, null, "schedule"]);
  });

  test.each([
    "text",
    7,
    {},
    { hint: {} },
    { hint: { connectionId: "../x", receivedAt: 1 } },
    { hint: { connectionId: "0".repeat(26), receivedAt: 1, approve: true } },
  ])("sets a message aside that says %o", async (message) => {
    await expect(workOnHint(() => api.cases)(message, contextFor([]))).rejects.toThrow("does not have the known form");
  });

  test("lets a hint to nobody go", async () => {
    const log: string[] = [];
    await workOnHint(() => api.cases)({ hint: { connectionId: "0".repeat(26), receivedAt: 1 } }, contextFor(log));
    expect(log.join("")).toContain('"outcome":"gone"');
  });
});

describe("work that fails", () => {
  const failing = () => Promise.reject(new Error("ada@contoso.example"));

  test("does not send a message to the poison queue: the store knows when to try again", async () => {
    const log: string[] = [];
    const hint = { hint: { connectionId: "0".repeat(26), receivedAt: 1 } };
    await expect(onMessage("sync", HintMessage, failing)(hint, contextFor(log))).resolves.toBeUndefined();
    expect(log.join("")).toContain('"code":"unexpected"');
    expect(log.join("")).not.toContain("contoso");
  });

  test("makes a tick fail without its cause", async () => {
    await expect(onTick("wake", failing)(timer, contextFor([]))).rejects.toThrow(/^wake: unexpected$/);
  });
});
