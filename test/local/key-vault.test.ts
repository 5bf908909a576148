import { mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ManagedIdentityCredential } from "@azure/identity";
import { type KeyVaultSecret, SecretClient } from "@azure/keyvault-secrets";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import { type KeyVault, startKeyVault } from "../../src/local/key-vault/server.ts";
import { createCertificateAuthority, type ServerCertificate, trustInThisProcess } from "../../src/local/tls.ts";
import { type IdentityEndpoint, startIdentityEndpoint } from "../../src/local/tokens/identity.ts";

let tls: ServerCertificate;
let identity: IdentityEndpoint;
let vault: KeyVault;
let secrets: SecretClient;
let now = Date.now();

const verifyToken = (bearer: string) => identity.verify(bearer, "https://vault.azure.net");
const clientOf = ({ url }: KeyVault, maxRetries = 0) =>
  new SecretClient(url, new ManagedIdentityCredential(), {
    disableChallengeResourceVerification: true,
    retryOptions: { maxRetries, retryDelayInMs: 1 },
  });

beforeAll(async () => {
  const authority = await createCertificateAuthority();
  trustInThisProcess(authority.caPem);
  tls = await authority.issueServerCertificate();
  identity = await startIdentityEndpoint();
  vi.stubEnv("IDENTITY_ENDPOINT", identity.endpoint);
  vi.stubEnv("IDENTITY_HEADER", identity.header);
});
afterAll(async () => {
  vi.unstubAllEnvs();
  await identity.close();
});
beforeEach(async () => {
  now = Date.now();
  vault = await startKeyVault({ tls, verifyToken, now: () => now });
  secrets = clientOf(vault);
});
afterEach(() => vault.close());

const collect = async <T>(items: AsyncIterable<T>): Promise<T[]> => {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
};
const failure = (statusCode: number, code: string) => ({ statusCode, code });

describe("the key vault stand-in, through the unchanged SecretClient", () => {
  test("answers the first request with a challenge and nothing else", async () => {
    const response = await fetch(`${vault.url}/secrets?api-version=2026-04-01`);
    expect(response.status).toBe(401);
    expect(response.headers.get("www-authenticate")).toMatch(
      /^Bearer authorization="https:.*", resource="https:\/\/vault\.azure\.net"$/,
    );
    const forged = await fetch(`${vault.url}/secrets?api-version=2026-04-01`, {
      headers: { authorization: "Bearer forged" },
    });
    expect(forged.status).toBe(401);
    expect(vault.calls.list).toBe(0);
  });

  test("keeps every version, its tags and its dates, and returns the newest", async () => {
    const first = await secrets.setSecret("c-1-k1", "one", { tags: { purpose: "ring" }, contentType: "key" });
    await secrets.setSecret("C-1-K1", "two", {
      notBefore: new Date(1_900_000_000_000),
      expiresOn: new Date(1_800_000_000_000),
    });
    expect(first.properties.version).toMatch(/^[0-9a-f]{32}$/);
    expect(await secrets.getSecret("c-1-k1")).toMatchObject({ name: "c-1-k1", value: "two" });
    const old: KeyVaultSecret = await secrets.getSecret("c-1-k1", { version: first.properties.version ?? "" });
    expect(old).toMatchObject({
      value: "one",
      properties: { tags: { purpose: "ring" }, contentType: "key", enabled: true, recoverableDays: 7 },
    });
    const versions = await collect(secrets.listPropertiesOfSecretVersions("c-1-k1"));
    expect(versions.map(({ version }) => version)).toContain(first.properties.version);
    expect(versions).toHaveLength(2);
  });

  test("updates attributes without the value, and does not hand out what is disabled", async () => {
    const { properties } = await secrets.setSecret("k", "v", { tags: { a: "1", b: "2" } });
    const version = properties.version ?? "";
    expect(await secrets.updateSecretProperties("k", version, { tags: { c: "3" } })).toMatchObject({
      enabled: true,
      tags: { c: "3" },
    });
    await secrets.updateSecretProperties("k", version, { enabled: false });
    await expect(secrets.getSecret("k")).rejects.toMatchObject(failure(403, "Forbidden"));
    await secrets.updateSecretProperties("k", version, { enabled: true });
    expect((await secrets.getSecret("k")).value).toBe("v");
  });

  test("lists page by page without values or deleted secrets", async () => {
    for (let n = 10; n < 40; n += 1) await secrets.setSecret(`k${n}`, "v");
    await secrets.beginDeleteSecret("k20", { intervalInMs: 1 });
    const listed = await collect(secrets.listPropertiesOfSecrets());
    expect(listed.map(({ name }) => name)).toEqual(
      Array.from({ length: 30 }, (_, n) => `k${n + 10}`).filter((name) => name !== "k20"),
    );
    expect(vault.calls.list).toBe(2);
    expect(JSON.stringify(listed)).not.toContain('"value"');
  });

  test("deletes softly: the name stays taken, recovery brings it back, purging is refused", async () => {
    await secrets.setSecret("k", "v");
    const poller = await secrets.beginDeleteSecret("k", { intervalInMs: 1 });
    const deleted = await poller.pollUntilDone();
    expect(Number(deleted.scheduledPurgeDate) - Number(deleted.deletedOn)).toBe(7 * 86_400_000);
    await expect(secrets.getSecret("k")).rejects.toMatchObject(failure(404, "SecretNotFound"));
    const conflict = secrets.setSecret("k", "again");
    await expect(conflict).rejects.toMatchObject(failure(409, "Conflict"));
    await expect(conflict).rejects.toMatchObject({
      details: { error: { innerError: { code: "ObjectIsDeletedButRecoverable" } } },
    });
    await expect(secrets.purgeDeletedSecret("k")).rejects.toMatchObject(failure(403, "Forbidden"));
    expect((await collect(secrets.listDeletedSecrets())).map(({ name }) => name)).toEqual(["k"]);
    await (await secrets.beginRecoverDeletedSecret("k", { intervalInMs: 1 })).pollUntilDone();
    expect((await secrets.getSecret("k")).value).toBe("v");
  });

  test("forgets a deleted secret after seven days", async () => {
    await secrets.setSecret("k", "v");
    await secrets.beginDeleteSecret("k", { intervalInMs: 1 });
    now += 7 * 86_400_000;
    await expect(secrets.getDeletedSecret("k")).rejects.toMatchObject(failure(404, "SecretNotFound"));
    expect((await secrets.setSecret("k", "new")).value).toBe("new");
  });

  test("refuses what the service refuses: names, more than 25 KB, more than 15 tags", async () => {
    await expect(secrets.setSecret("under_score", "v")).rejects.toMatchObject(failure(400, "BadParameter"));
    await expect(secrets.setSecret("k", "x".repeat(25 * 1024 + 1))).rejects.toMatchObject(failure(400, "BadParameter"));
    const tags = Object.fromEntries(Array.from({ length: 16 }, (_, n) => [`t${n}`, "x"]));
    await expect(secrets.setSecret("k", "v", { tags })).rejects.toMatchObject(failure(400, "BadParameter"));
    expect((await secrets.setSecret("k", "x".repeat(25 * 1024))).value).toHaveLength(25 * 1024);
  });

  test("throttles, is unavailable, and loses answers after doing the work, on request", async () => {
    vault.faults.throttleNext = 1;
    await expect(secrets.setSecret("k", "v")).rejects.toMatchObject({ statusCode: 429 });
    vault.faults.unavailableNext = 1;
    await expect(secrets.setSecret("k", "v")).rejects.toMatchObject({ statusCode: 503 });
    await expect(secrets.getSecret("k")).rejects.toMatchObject({ statusCode: 404 });
    vault.faults.loseAnswersNext = 1;
    await expect(secrets.setSecret("k", "v")).rejects.toThrow();
    expect((await secrets.getSecret("k")).value).toBe("v");
    vault.faults.throttleNext = 2;
    vault.faults.retryAfterSeconds = 0;
    expect((await clientOf(vault, 3).getSecret("k")).value).toBe("v");
    expect(vault.calls).toMatchObject({ set: 3, get: 5 });
  });

  test("has every acknowledged change on disk, readable by its owner only", async () => {
    const folder = mkdtempSync(join(tmpdir(), "vault-"));
    const file = join(folder, "data", "vault.json");
    try {
      const durable = await startKeyVault({ tls, verifyToken, file });
      const client = clientOf(durable);
      await client.setSecret("kept", "v1");
      await client.setSecret("gone", "v");
      await client.beginDeleteSecret("gone", { intervalInMs: 1 });
      const asAcknowledged = readFileSync(file);
      expect(statSync(file).mode & 0o777).toBe(0o600);
      await durable.close();
      expect(readFileSync(file)).toEqual(asAcknowledged);
      const again = await startKeyVault({ tls, verifyToken, file });
      const reader = clientOf(again);
      expect((await reader.getSecret("kept")).value).toBe("v1");
      expect((await reader.getDeletedSecret("gone")).name).toBe("gone");
      await again.close();
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
