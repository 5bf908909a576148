import { HttpRequest, InvocationContext } from "@azure/functions";
import { expect, test } from "vitest";
import { AppError } from "../../src/core/errors.ts";
import type { Receive } from "../../src/core/notifications/intake.ts";
import { receiveNotifications } from "../../src/functions/graph-notifications.http.ts";

interface Asking {
  method?: string;
  query?: Record<string, string>;
  type?: string;
  body?: string;
  headers?: Record<string, string>;
}

const openHandler = (receiver: () => Receive | null, now?: () => number) => {
  const handler = receiveNotifications(receiver, now);
  const lines: string[] = [];
  return {
    lines,
    ask: async ({ method = "POST", query = {}, type = "application/json", body, headers = {} }: Asking = {}) => {
      const context = new InvocationContext({
        functionName: "graph-notifications",
        logHandler: (_level, ...args) => lines.push(args.join(" ")),
      });
      const request = new HttpRequest({
        method,
        url: "https://sync.product.example/notifications/graph",
        query,
        headers: { "content-type": type, ...headers },
        ...(body === undefined ? {} : { body: { string: body } }),
      });
      const answer = await handler(request, context);
      if (typeof answer !== "object") throw new Error("There was no answer.");
      return {
        status: answer.status,
        body: answer.body,
        headers: new Headers(answer.headers),
      };
    },
  };
};

const neverBuilt = (): Receive | null => {
  throw new Error("Nothing was to be built.");
};
const text = "text/plain; charset=utf-8";

test("the handshake answers the token as it is, as text, before anything is built", async () => {
  const { ask } = openHandler(neverBuilt);
  for (const validationToken of ["abc def+1", "100%25", "<script>alert(1)</script>", "é\r\nx: y", "x".repeat(1024)]) {
    const { status, body, headers } = await ask({ query: { validationToken }, type: text });
    expect([status, body, headers.get("content-type")]).toEqual([200, validationToken, text]);
    expect(headers.get("x-content-type-options")).toBe("nosniff");
  }
});

test("no more than a kilobyte is given back, counted in bytes, and not nothing", async () => {
  const { ask } = openHandler(neverBuilt);
  for (const validationToken of ["x".repeat(1025), "é".repeat(513), ""])
    expect(await ask({ query: { validationToken }, type: text })).toMatchObject({ status: 400, body: undefined });
});

test("nothing is given back to a page or a link that somebody was sent", async () => {
  const { ask } = openHandler(() => null);
  const query = { validationToken: "token" };
  for (const method of ["GET", "HEAD", "PUT", "OPTIONS"]) {
    const { status, body, headers } = await ask({ method, query, type: text });
    expect([status, body, headers.get("allow")]).toEqual([405, undefined, "POST"]);
  }
  for (const type of ["application/json", "text/html", "text/plainer", ""])
    expect(await ask({ query, type, body: "{}" })).toMatchObject({ status: 202, body: undefined });
});

test("a body that is too long is refused unread, one that is no JSON is taken and dropped", async () => {
  const received: unknown[] = [];
  const { ask } = openHandler(() => async (body) => {
    received.push(body);
    return { taken: 0, forged: 0, unusable: 1, hints: 0 };
  });
  const tooLong = `"${"x".repeat(1024 * 1024)}"`;
  expect((await ask({ body: tooLong })).status).toBe(413);
  expect((await ask({ body: "{}", headers: { "content-length": String(tooLong.length) } })).status).toBe(413);
  expect(received).toEqual([]);
  for (const body of ["", "{", "\u0000"]) expect((await ask({ body })).status).toBe(202);
  expect(received).toEqual([null, null, null]);
  expect((await ask({ body: `"${"x".repeat(1024 * 1024 - 2)}"` })).status).toBe(202);
});

test("only what has to be sent again is an error, and says nothing", async () => {
  const failing = (code: "queue-unavailable" | "not-configured"): Receive => {
    const error = new AppError(code, { detail: "secret detail" });
    return () => Promise.reject(error);
  };
  expect(await openHandler(() => failing("queue-unavailable")).ask({ body: "{}" })).toMatchObject({
    status: 503,
    body: undefined,
  });
  expect(await openHandler(() => failing("not-configured")).ask({ body: "{}" })).toMatchObject({
    status: 500,
    body: undefined,
  });
  expect(
    await openHandler(() => {
      throw new AppError("not-configured", { detail: "secret detail" });
    }).ask({ body: "{}" }),
  ).toMatchObject({ status: 500, body: undefined });
});

test("without keys everything is dropped, and counts as forged", async () => {
  const { ask, lines } = openHandler(() => null);
  expect((await ask({ body: '{"value":[]}' })).status).toBe(202);
  expect(lines.map((line) => JSON.parse(line))).toMatchObject([{ event: "graph-notifications", forged: 1 }]);
});

test("a storm is a line in ten seconds, with sums and nothing that was sent", async () => {
  let now = 1_000_000;
  const { ask, lines } = openHandler(
    () => async () => ({ taken: 2, forged: 3, unusable: 1, hints: 1 }),
    () => now,
  );
  const body = JSON.stringify({ value: [{ clientState: "marker", resource: "Users/marker" }] });
  for (let number = 0; number < 2001; number++) {
    await ask({ body });
    now += 10;
  }
  const told = lines.map((line) => JSON.parse(line));
  expect(told).toEqual([
    { event: "graph-notifications", posts: 1, taken: 2, forged: 3, unusable: 1, hints: 1 },
    ...[1, 2].map(() => ({
      event: "graph-notifications",
      posts: 1000,
      taken: 2000,
      forged: 3000,
      unusable: 1000,
      hints: 1000,
    })),
  ]);
  expect(lines.join()).not.toContain("marker");
});
