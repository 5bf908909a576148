import { describe, expect, test } from "vitest";
import { createDirectory } from "../../../src/local/simulator/directory/memory-directory.ts";
import type { Trouble } from "../../../src/local/simulator/graph/faults.ts";
import { calm } from "../../../src/local/simulator/graph/switches.ts";
import { type Ask, graphScene, group, guid, readRound, user } from "./graph-scene.ts";

const day = 24 * 3600_000;

/** A scene with one user whose feed was read once, and with more than one page on a fresh read. */
const scene = async (now?: () => number) => {
  const made = graphScene({ traits: { ...calm, pageSize: 1 }, ...(now ? { now } : {}) });
  for (const mutation of [user(1), user(2), group(3)]) made.directory.apply(mutation);
  const { deltaLink } = await readRound(made.ask, "/users/delta?$select=displayName");
  const { body } = await made.ask("/users/delta?$select=displayName");
  return { ...made, deltaLink, nextLink: String(body["@odata.nextLink"]) };
};

const refusal = async (ask: Ask, link: string, extra: Parameters<Ask>[1] = {}) => {
  const { status, body } = await ask(link, extra);
  return { status, error: body["error"] };
};

describe("a link is refused", () => {
  test("in another tenant", async () => {
    const { ask, addTenant, deltaLink, nextLink } = await scene();
    const other = "99999999-2222-4333-8444-555555555555";
    addTenant(other, createDirectory());
    for (const link of [deltaLink, nextLink]) {
      expect(await refusal(ask, link, { tenant: other })).toMatchObject({ status: 400, error: { code: "BadRequest" } });
    }
  });

  test("on another feed, under the other token's name, edited, or with options of its own", async () => {
    const { ask, deltaLink } = await scene();
    const token = new URL(deltaLink).searchParams.get("$deltatoken") ?? "";
    const edited = `${token.slice(0, 40)}${token[40] === "A" ? "B" : "A"}${token.slice(41)}`;
    for (const link of [
      deltaLink.replace("/users/", "/groups/"),
      deltaLink.replace("$deltatoken", "$skiptoken"),
      deltaLink.replace(token, edited),
      deltaLink.replace(token, "nonsense"),
      `${deltaLink}&$select=displayName`,
      `${deltaLink}&$top=5`,
    ]) {
      expect(await refusal(ask, link)).toMatchObject({ status: 400, error: { code: "BadRequest" } });
    }
    expect((await ask(deltaLink)).status).toBe(200);
  });

  test("after seven days, in each feed's own words, and on the seventh it works", async () => {
    let now = Date.UTC(2026, 0, 1);
    const { ask, deltaLink, nextLink } = await scene(() => now);
    const groups = await readRound(ask, "/groups/delta");
    now += 7 * day;
    expect((await ask(deltaLink)).status).toBe(200);
    now += 1;
    expect(await refusal(ask, deltaLink)).toMatchObject({
      status: 400,
      error: { code: "Request_UnsupportedQuery", message: "DeltaLink older than 30 days is not supported." },
    });
    expect(await refusal(ask, groups.deltaLink)).toMatchObject({ status: 400, error: { code: "syncStateNotFound" } });
    expect(await refusal(ask, nextLink)).toMatchObject({ status: 400, error: { code: "Directory_ExpiredPageToken" } });
  });

  test("when the directory is younger than the link", async () => {
    const { deltaLink, world, ask } = await scene();
    for (const tenant of world.tenants.values()) tenant.directory = createDirectory();
    expect(await refusal(ask, deltaLink)).toMatchObject({ status: 400, error: { code: "syncStateNotFound" } });
  });
});

describe("by script", () => {
  test.each<[string, Trouble, number, object]>([
    ["gone", { kind: "gone" }, 410, { code: "resyncRequired" }],
    ["the announced code", { kind: "sync-state-not-found" }, 400, { code: "syncStateNotFound" }],
    [
      "odd casing and the old status",
      { kind: "sync-state-not-found", code: "SyncStateNotFound", status: 410 },
      410,
      { code: "SyncStateNotFound" },
    ],
    ["top level", { kind: "resync-required" }, 400, { code: "resyncRequired" }],
    [
      "nested",
      { kind: "resync-required", nested: true },
      400,
      { code: "UnknownError", innerError: { code: "resyncRequired" } },
    ],
    ["another name", { kind: "delta-link-too-old" }, 400, { code: "Request_UnsupportedQuery" }],
    ["an unknown token", { kind: "token-unknown" }, 400, { code: "Request_BadRequest" }],
  ])("a delta link expires as %s, and a first request is not met", async (_name, trouble, status, error) => {
    const { ask, graph, deltaLink } = await scene();
    graph.faults.add([{ trouble }]);
    expect((await ask("/users/delta")).status).toBe(200);
    expect(await refusal(ask, deltaLink)).toMatchObject({ status, error });
    expect((await ask(deltaLink)).status).toBe(200);
  });

  test("a next link expires, and a delta link is not met", async () => {
    const { ask, graph, deltaLink, nextLink } = await scene();
    graph.faults.add([{ trouble: { kind: "page-token-expired" } }]);
    expect((await ask(deltaLink)).status).toBe(200);
    expect(await refusal(ask, nextLink)).toMatchObject({ error: { code: "Directory_ExpiredPageToken" } });
  });

  test("the Location of a 410 begins the feed again", async () => {
    const { ask, graph, deltaLink } = await scene();
    graph.faults.add([{ trouble: { kind: "gone" } }]);
    const { headers } = await ask(deltaLink);
    const location = String(headers["Location"]);
    expect(new URL(location).searchParams.get("$deltatoken")).toBe("");
    const { entries } = await readRound(ask, location);
    expect(entries.map(({ id }) => id)).toEqual(expect.arrayContaining([guid(1), guid(2)]));
  });

  test("next link, delta link and Location point to a foreign origin, each when told", async () => {
    const { ask, graph, deltaLink, nextLink } = await scene();
    const tid = null;
    graph.switches.set(tid, null);
    graph.switches.set("11111111-2222-4333-8444-555555555555", {
      foreignOrigin: {
        nextLink: "https://localhost:1",
        deltaLink: "https://evil.example",
        location: "https://evil.example:8443",
      },
    });
    const next = await ask("/users/delta");
    const delta = await ask(nextLink);
    graph.faults.add([{ trouble: { kind: "gone" } }]);
    const gone = await ask(deltaLink);
    expect(new URL(String(next.body["@odata.nextLink"])).origin).toBe("https://localhost:1");
    expect(new URL(String(delta.body["@odata.deltaLink"])).origin).toBe("https://evil.example");
    expect(new URL(String(gone.headers["Location"])).origin).toBe("https://evil.example:8443");
  });
});
