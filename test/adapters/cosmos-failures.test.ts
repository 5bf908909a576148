/** What each failure of the database means for a write: a server that answers by script stands in for it. */
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { type CosmosHandles, openCosmos } from "../../src/adapters/cosmos/client.ts";
import { directoryStore } from "../../src/adapters/cosmos/directory-store.ts";
import { AppError } from "../../src/core/errors.ts";
import { UnknownOutcome, type Write } from "../../src/core/store/ports.ts";

type Answer = "reset" | { status: number; substatus?: number; retryAfterMs?: number; body?: unknown };

let server: Server;
let cosmos: CosmosHandles;
/** Answers in order; the last one is repeated. */
let script: Answer[];
let requests: number;

beforeAll(async () => {
  server = createServer((request, response) => {
    const answer = script[Math.min(requests, script.length - 1)] ?? "reset";
    requests += 1;
    request.resume();
    request.on("end", () => {
      if (answer === "reset") return request.socket.destroy();
      const {
        status,
        substatus,
        retryAfterMs,
        body = { code: String(status), message: "as the script says" },
      } = answer;
      response.writeHead(status, {
        "content-type": "application/json",
        ...(substatus ? { "x-ms-substatus": String(substatus) } : {}),
        ...(retryAfterMs === undefined ? {} : { "x-ms-retry-after-ms": String(retryAfterMs) }),
      });
      response.end(JSON.stringify(body));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
});
afterAll(() => {
  server.closeAllConnections();
  return new Promise((resolve) => server.close(resolve));
});

const accountKey = Buffer.from("signs, but nobody checks").toString("base64");
beforeEach(() => {
  requests = 0;
  const { port } = server.address() as AddressInfo;
  cosmos = openCosmos({ endpoint: `http://127.0.0.1:${port}`, database: "d", key: accountKey });
});
afterEach(() => cosmos.dispose());

const connectionId = "01k00000000000000000000000";
const oneWrite: Write[] = [
  { op: "create", doc: { id: "p:i", kind: "product-user", v: 1, connectionId, personId: "secret-person" } },
];
const failing = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => "no failure",
    (error: unknown) => (error instanceof AppError ? error.code : error instanceof UnknownOutcome ? "unknown" : error),
  );

test.each<{ what: string; answer: Answer; means: string; sent: number }>([
  { what: "throttled", answer: { status: 429, retryAfterMs: 1 }, means: "store-unavailable", sent: 4 },
  { what: "asked to retry", answer: { status: 449 }, means: "store-unavailable", sent: 3 },
  { what: "without rights", answer: { status: 403, substatus: 5300 }, means: "store-unavailable", sent: 1 },
  {
    what: "told to write in another region",
    answer: { status: 403, substatus: 3 },
    means: "store-unavailable",
    sent: 1,
  },
  { what: "not authenticated", answer: { status: 401 }, means: "store-unavailable", sent: 1 },
  { what: "partition full", answer: { status: 403, substatus: 1014 }, means: "store-full", sent: 1 },
  { what: "container missing", answer: { status: 404, substatus: 1003 }, means: "store-unavailable", sent: 1 },
  { what: "too large", answer: { status: 413 }, means: "unexpected", sent: 1 },
  { what: "malformed", answer: { status: 400 }, means: "unexpected", sent: 1 },
  { what: "timed out in the service", answer: { status: 408 }, means: "unknown", sent: 1 },
  { what: "partition moved", answer: { status: 410 }, means: "unknown", sent: 1 },
  { what: "faulty", answer: { status: 500 }, means: "unknown", sent: 1 },
  { what: "unavailable", answer: { status: 503 }, means: "unknown", sent: 1 },
  { what: "reset", answer: "reset", means: "unknown", sent: 1 },
])("a batch that is $what: $means after $sent requests", async ({ answer, means, sent }) => {
  script = [answer];
  expect(await failing(directoryStore(cosmos.directory).write(connectionId, oneWrite))).toBe(means);
  expect(requests).toBe(sent);
});

test("a batch that never reached the database was certainly not written", async () => {
  const nobody = openCosmos({ endpoint: "http://127.0.0.1:1", database: "d", key: accountKey });
  expect(await failing(directoryStore(nobody.directory).write(connectionId, oneWrite))).toBe("store-unavailable");
  nobody.dispose();
});

const refusedInside = (status: number): Answer => ({
  status: 207,
  body: [
    { statusCode: 424, requestCharge: 0 },
    { statusCode: status, requestCharge: 0 },
  ],
});
const written: Answer = {
  status: 200,
  body: [
    { statusCode: 200, requestCharge: 1, eTag: '"first"' },
    { statusCode: 201, requestCharge: 1, eTag: '"second"' },
  ],
};

test.each<{ status: number; means: unknown }>([
  { status: 412, means: { ok: false, index: 1, reason: "changed" } },
  { status: 409, means: { ok: false, index: 1, reason: "exists" } },
  { status: 404, means: { ok: false, index: 1, reason: "missing" } },
  { status: 429, means: { ok: true, headEtag: '"first"' } },
  { status: 449, means: { ok: true, headEtag: '"first"' } },
])("an operation refused with $status in a batch that rolled back", async ({ status, means }) => {
  script = [refusedInside(status), written];
  const writes = [...oneWrite, ...oneWrite];
  expect(await directoryStore(cosmos.directory).write(connectionId, writes)).toEqual(means);
});

test("an operation refused because the partition is full is store-full", async () => {
  script = [refusedInside(403)];
  expect(await failing(directoryStore(cosmos.directory).write(connectionId, [...oneWrite, ...oneWrite]))).toBe(
    "store-full",
  );
});

test("a batch answered with success but fewer results than operations is not taken for written", async () => {
  script = [{ status: 200, body: [{ statusCode: 200, requestCharge: 1, eTag: '"first"' }] }];
  expect(await failing(directoryStore(cosmos.directory).write(connectionId, [...oneWrite, ...oneWrite]))).toBe(
    "unknown",
  );
});

test("a read is tried again when the database is away for a moment", async () => {
  script = [
    { status: 503 },
    { status: 449 },
    { status: 200, body: { id: "head", kind: "head", _etag: '"1"', _rid: "r", _ts: 1 } },
  ];
  expect(await directoryStore(cosmos.directory).read(connectionId, "head", "head")).toEqual({
    id: "head",
    kind: "head",
    _etag: '"1"',
  });
});

test("a missing container is a fault, never an empty connection", async () => {
  script = [{ status: 404, substatus: 1003 }];
  expect(await failing(directoryStore(cosmos.directory).read(connectionId, "head", "head"))).toBe("store-unavailable");
});

test("errors carry neither documents nor the signature of the account key", async () => {
  for (const answer of ["reset", { status: 503 }, { status: 413 }] satisfies Answer[]) {
    script = [answer];
    const error: unknown = await directoryStore(cosmos.directory)
      .write(connectionId, oneWrite)
      .catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(Error);
    const text = everything(error);
    expect(text).toContain("Cosmos DB");
    expect(text).not.toMatch(/secret-person|sig%3D|sig=/);
  }
});

const everything = (error: unknown): string =>
  JSON.stringify(error, (_, value: unknown) =>
    value instanceof Error
      ? Object.fromEntries(Object.getOwnPropertyNames(value).map((name) => [name, Reflect.get(value, name)]))
      : value,
  );
