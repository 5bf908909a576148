/** What is deployed beside the bundle: the settings of the host, and which files go along. */
import { existsSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { describe, expect, test } from "vitest";
import host from "../host.json" with { type: "json" };
import manifest from "../package.json" with { type: "json" };
import { loadConfig } from "../src/config.ts";
import { readHostSettings } from "../src/local/host/settings.ts";
import { deployed } from "./support/deployed-settings.ts";

const root = resolve(import.meta.dirname, "..");

describe("host.json", () => {
  const { functionTimeoutMs, http, queues } = readHostSettings(root, {});

  test("leaves our routes as they are written", () => {
    expect(http.routePrefix).toBe("");
  });

  test("keeps addresses with their queries, in which codes of sign-in arrive, out of telemetry", () => {
    const { httpAutoCollectionOptions } = host.logging.applicationInsights;
    expect(httpAutoCollectionOptions.enableHttpTriggerExtendedInfoCollection).toBe(false);
    expect(host.logging.logLevel["Host.Results"]).toBe("Warning");
  });

  test("gives an instance few runs at a time, and each run its longest slice", () => {
    expect(queues.batchSize + queues.newBatchThreshold).toBeLessThanOrEqual(4);
    expect(queues.messageEncoding).toBe("base64");
    const { sync } = loadConfig({ ...deployed, LEASE_SECONDS: "600" });
    expect(functionTimeoutMs).toBeGreaterThan(2 * sync.sliceMilliseconds);
  });
});

describe(".funcignore", () => {
  const rules = readFileSync(join(root, ".funcignore"), "utf8")
    .split("\n")
    .filter((line) => line !== "" && !line.startsWith("#"));
  const kept = rules.slice(1).map((rule) => rule.replace(/^!/, ""));

  test("leaves everything out but the bundle, what it reads, and what the host reads", () => {
    expect(rules[0]).toBe("*");
    expect(rules.slice(1).filter((rule) => !rule.startsWith("!"))).toEqual([]);
    expect(kept.filter((path) => !/^(host\.json|package\.json|dist(\/.+)?)$/.test(path))).toEqual([]);
    expect(kept).toEqual(expect.arrayContaining(["host.json", "package.json", manifest.main]));
  });

  test("keeps nothing that the build does not make", () => {
    const named = kept.filter((path) => !path.includes("*"));
    expect(named.filter((path) => !existsSync(join(root, path)))).toEqual([]);
  });
});
