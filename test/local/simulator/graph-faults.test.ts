import { describe, expect, test } from "vitest";
import { Fault, type Storm } from "../../../src/local/simulator/graph/faults.ts";
import { createGraph } from "../../../src/local/simulator/graph/graph.ts";
import { calm } from "../../../src/local/simulator/graph/switches.ts";
import { createThrottle } from "../../../src/local/simulator/graph/throttle.ts";
import { graphScene, tid, user } from "./graph-scene.ts";

const scene = () => {
  const made = graphScene({ traits: calm });
  made.directory.apply(user(1));
  return made;
};

describe("throttling by script", () => {
  test("says how long to wait in seconds, as a date, or not at all, and for whom", async () => {
    const { ask, graph } = scene();
    graph.faults.add([
      { trouble: { kind: "throttle", retryAfterSeconds: 10 } },
      { trouble: { kind: "throttle", retryAfterSeconds: 30, asDate: true } },
      { trouble: { kind: "throttle", scope: "Application" } },
    ]);
    const [seconds, date, silent] = [await ask("/users"), await ask("/users"), await ask("/users")];
    expect([seconds.status, date.status, silent.status]).toEqual([429, 429, 429]);
    expect(seconds.headers["Retry-After"]).toBe("10");
    expect(Date.parse(String(date.headers["Retry-After"]))).toBeGreaterThan(Date.now());
    expect(silent.headers["Retry-After"]).toBeUndefined();
    expect(seconds.headers["x-ms-throttle-scope"]).toBe(`Tenant_Application/ReadWrite/app/${tid}`);
    expect(silent.headers["x-ms-throttle-scope"]).toMatch(/^Application\//);
    expect(seconds.body["error"]).toMatchObject({ code: "TooManyRequests", innerError: { code: "429" } });
    expect((await ask("/users")).status).toBe(200);
  });
});

test("a fault meets the requests it is meant for, after those it lets pass, as often as told", async () => {
  const { ask, graph } = scene();
  graph.faults.add([
    { trouble: { kind: "status", status: 503, retryAfterSeconds: 5 }, path: "^/groups", tid, after: 1, times: 2 },
  ]);
  const seen: number[] = [];
  for (const path of ["/users", "/groups", "/groups", "/users", "/groups/delta", "/groups"])
    seen.push((await ask(path)).status);
  expect(seen).toEqual([200, 200, 503, 200, 503, 200]);
  graph.faults.add([{ trouble: { kind: "status", status: 500 }, tid: "another" }]);
  expect((await ask("/users")).status).toBe(200);
  expect(graph.faults.left()).toBe(1);
  graph.faults.clear();
  expect(graph.faults.left()).toBe(0);
});

test("answers are reset, cut, late, or pages of a proxy", async () => {
  const { ask, graph } = scene();
  graph.faults.add([
    { trouble: { kind: "reset" } },
    { trouble: { kind: "truncated" } },
    { trouble: { kind: "html", status: 200 } },
    { trouble: { kind: "html", status: 502 } },
  ]);
  expect((await ask("/users")).wire).toBe("reset");
  expect((await ask("/users")).wire).toBe("truncated");
  const pages = [await ask("/users"), await ask("/users")];
  expect(pages.map(({ status, headers }) => [status, headers["Content-Type"]])).toEqual([
    [200, "text/html"],
    [502, "text/html"],
  ]);
});

test("a storm is the same for the same seed, and over when told", async () => {
  const storm: Storm = { seed: 7, throttle: 0.2, unavailable: 0.1, error: 0.1, badGateway: 0.1, html: 0.1, reset: 0.1 };
  const weather = async (): Promise<string[]> => {
    const { ask, graph } = scene();
    graph.faults.storm(storm);
    const seen: string[] = [];
    for (let number = 0; number < 80; number++) {
      const { status, wire } = await ask("/organization");
      seen.push(`${status}${wire ?? ""}`);
    }
    graph.faults.storm(null);
    for (let number = 0; number < 20; number++) expect((await ask("/organization")).status).toBe(200);
    return seen;
  };
  const seen = await weather();
  expect(await weather()).toEqual(seen);
  expect(new Set(seen).size).toBeGreaterThan(4);
});

test("a fault of unknown shape is refused", () => {
  expect(Fault.safeParse({ trouble: { kind: "flood" } }).success).toBe(false);
});

describe("resource units", () => {
  test("are a bucket for each app and tenant that refills in ten seconds", () => {
    let now = 0;
    const throttle = createThrottle(() => now);
    expect(throttle.charge("app", "one", 10, 3000).allowed).toBe(true);
    expect(throttle.charge("app", "one", 10, 600)).toMatchObject({ allowed: false, retryAfterSeconds: 2 });
    expect(throttle.charge("app", "two", 10, 600).allowed).toBe(true);
    now = 2000;
    expect(throttle.charge("app", "one", 10, 600).allowed).toBe(true);
    expect(throttle.charge("app", "large", 501, 8000).allowed).toBe(true);
  });

  test("show before and when they run out", async () => {
    const used = [0.79, 0.9, 1.2];
    const { world, graph } = scene();
    const tight = createGraph(world, {
      url: () => "https://localhost:7444/v1.0",
      linkKey: Buffer.alloc(32),
      seed: 1,
      verifyToken: () => ({ tid, clientId: "app", roles: ["User.Read.All"] }),
      throttle: {
        charge: () => {
          const share = used.shift() ?? 0;
          return { allowed: share <= 1, used: share, retryAfterSeconds: 3 };
        },
      },
    });
    const ask = () =>
      tight.handle({ method: "GET", url: new URL("https://localhost:7444/v1.0/users"), headers: {}, body: "" });
    const shown = [await ask(), await ask(), await ask()].map(({ status, headers }) => [
      status,
      headers?.["x-ms-throttle-limit-percentage"],
      headers?.["Retry-After"],
    ]);
    expect(shown).toEqual([
      [200, undefined, undefined],
      [200, "0.90", undefined],
      [429, "1.20", "3"],
    ]);
    expect(graph.log.mark()).toBe(0);
  });
});
