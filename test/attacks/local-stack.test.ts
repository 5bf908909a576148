/** What a page in a browser on the same machine could try against the embedded stack: names of its own, other origins, known keys. */
import http from "node:http";
import https from "node:https";
import { QueueServiceClient, StorageSharedKeyCredential } from "@azure/storage-queue";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { startTestStack, type TestStack } from "../support/stack.ts";

let stack: TestStack;
beforeAll(async () => {
  stack = await startTestStack();
});
afterAll(() => stack.stop());

interface Got {
  status: number;
  headers: http.IncomingHttpHeaders;
  text: string;
}

/** `fetch` would not send these headers. */
const send = (address: string, method: string, headers: Record<string, string>): Promise<Got> =>
  new Promise((resolve, reject) => {
    const url = new URL(address);
    const { request } = url.protocol === "https:" ? https : http;
    const options = { host: "127.0.0.1", port: url.port, path: url.pathname, method, ca: stack.caPem };
    request({ ...options, servername: "localhost", headers: { host: url.host, ...headers } }, (answer) => {
      let text = "";
      answer.on("data", (part: Buffer) => (text += part.toString()));
      answer.on("end", () => resolve({ status: answer.statusCode ?? 0, headers: answer.headers, text }));
    })
      .on("error", reject)
      .end();
  });

const addresses = (): string[] => [
  `${stack.url}/health`,
  `${stack.tlsUrl}/health`,
  `${stack.simulator.controlUrl}/create-tenant`,
  `${stack.cosmos?.endpoint ?? ""}/_control/dump`,
  ...stack.parts.flatMap(({ address }) => address.split(/\s+/).filter((each) => each.startsWith("http"))),
];

describe("a page in a browser on this machine", () => {
  test("reaches no part under a name of its own", async () => {
    expect(addresses().length).toBeGreaterThan(8);
    for (const address of addresses()) {
      const { port } = new URL(address);
      for (const host of ["attacker.example", `attacker.example:${port}`, `localhost.attacker.example:${port}`]) {
        const { status, headers } = await send(address, "GET", { host });
        expect([address, host, status >= 400 && status < 500]).toEqual([address, host, true]);
        expect(headers["access-control-allow-origin"]).toBeUndefined();
      }
    }
  });

  test("is let in by no part as another origin", async () => {
    const asked = {
      origin: "https://attacker.example",
      "access-control-request-method": "POST",
      "access-control-request-headers": "authorization, x-control-secret, x-control-key, x-identity-header",
    };
    for (const address of addresses())
      for (const method of ["OPTIONS", "GET", "POST"]) {
        const { headers } = await send(address, method, asked);
        expect([address, headers["access-control-allow-origin"]]).toEqual([address, undefined]);
      }
  });

  test("calls no function by hand; a program on this machine may", async () => {
    const timer = `${stack.url}/admin/functions/directory-sync-wake`;
    expect((await send(timer, "POST", { origin: "https://attacker.example" })).status).toBe(403);
    expect((await send(timer, "POST", { origin: "null" })).status).toBe(403);
    expect((await send(timer, "POST", { "sec-fetch-site": "cross-site" })).status).toBe(403);
    expect((await send(timer, "POST", {})).status).toBe(202);
  });

  test("does not know the key of the queues, though every emulator's is public", async () => {
    const url = /QueueEndpoint=([^;]+)/.exec(stack.queues?.connectionString ?? "")?.[1] ?? "";
    const wellKnown = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";
    const list = async (client: QueueServiceClient) => (await client.listQueues().byPage().next()).value?.queueItems;
    const options = { retryOptions: { maxTries: 1 } };
    const guessed = new QueueServiceClient(url, new StorageSharedKeyCredential("devstoreaccount1", wellKnown), options);
    await expect(list(guessed)).rejects.toMatchObject({ statusCode: 403 });
    const given = QueueServiceClient.fromConnectionString(stack.queues?.connectionString ?? "", options);
    expect(await list(given)).toBeDefined();
  });

  test("gets nothing from a stand-in without its secret", async () => {
    const { simulator, cosmos, vault, tokens } = stack;
    for (const [address, method] of [
      [`${simulator.controlUrl}/create-tenant`, "POST"],
      [`${cosmos?.endpoint}/_control/dump`, "GET"],
      [`${cosmos?.endpoint}/dbs/${cosmos?.database}`, "GET"],
      [`${vault?.url}/secrets/platform-k1`, "GET"],
      [`${tokens?.issuer}/token`, "POST"],
    ] as const)
      expect([address, (await send(address, method, {})).status]).toEqual([address, 401]);
  });
});
