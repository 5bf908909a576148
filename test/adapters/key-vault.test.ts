import { SecretClient } from "@azure/keyvault-secrets";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { secretStore } from "../../src/adapters/key-vault/secret-store.ts";
import { AppError } from "../../src/core/errors.ts";
import type { SecretStore } from "../../src/core/store/ports.ts";
import { type KeyVault, startKeyVault } from "../../src/local/key-vault/server.ts";
import { createCertificateAuthority, trustInThisProcess } from "../../src/local/tls.ts";

const credential = { getToken: async () => ({ token: "test", expiresOnTimestamp: Date.now() + 3_600_000 }) };

let vault: KeyVault;
let secrets: SecretStore;
let operator: SecretClient;
beforeAll(async () => {
  const authority = await createCertificateAuthority();
  trustInThisProcess(authority.caPem);
  vault = await startKeyVault({
    tls: await authority.issueServerCertificate(),
    verifyToken: (bearer) => bearer === "test",
  });
  secrets = secretStore({ url: vault.url, credential, disableChallengeResourceVerification: true });
  operator = new SecretClient(vault.url, credential, { disableChallengeResourceVerification: true });
});
afterEach(() => {
  Object.assign(vault.faults, { throttleNext: 0, unavailableNext: 0, loseAnswersNext: 0, slowByMs: 0 });
});
afterAll(() => vault.close());

const failing = async (promise: Promise<unknown>): Promise<AppError> => {
  const error: unknown = await promise.catch((reason: unknown) => reason);
  if (error instanceof AppError) return error;
  throw new Error("an AppError was expected", { cause: error });
};

const value = "dGhpcyBpcyBhIGtleSB0aGF0IG11c3Qgbm90IGxlYWs";

test("keeps a secret under its name, the newest value counts, and a missing one is null", async () => {
  expect(await secrets.get("c-1-k1")).toBeNull();
  await secrets.set("c-1-k1", "first");
  await secrets.set("c-1-k1", value);
  expect(await secrets.get("c-1-k1")).toBe(value);
});

test("a deleted secret is gone, deleting it again is no failure, and its name is not used again", async () => {
  await secrets.set("c-2-k1", "first");
  await secrets.delete("c-2-k1");
  expect(await secrets.get("c-2-k1")).toBeNull();
  await secrets.delete("c-2-k1");
  await secrets.delete("c-never-k1");
  const error = await failing(secrets.set("c-2-k1", value));
  expect(error.code).toBe("keys-unavailable");
  expect(error.message).toContain("deleted");
  expect(await secrets.get("c-2-k1")).toBeNull();
});

test("a disabled secret is keys-unavailable and says what to look at, never missing", async () => {
  await secrets.set("c-3-k1", value);
  const { properties } = await operator.getSecret("c-3-k1");
  await operator.updateSecretProperties("c-3-k1", properties.version ?? "", { enabled: false });
  const error = await failing(secrets.get("c-3-k1"));
  expect(error.code).toBe("keys-unavailable");
  expect(error.message).toContain("disabled");
});

test("waits out a short disturbance", async () => {
  await secrets.set("c-4-k1", value);
  vault.faults.unavailableNext = 1;
  expect(await secrets.get("c-4-k1")).toBe(value);
  vault.faults.loseAnswersNext = 1;
  await secrets.delete("c-4-k1");
  expect(await secrets.get("c-4-k1")).toBeNull();
});

test.each(["throttleNext", "unavailableNext"] as const)("when %s lasts, keys are unavailable", async (fault) => {
  vault.faults[fault] = 100;
  expect((await failing(secrets.get("c-5-k1"))).code).toBe("keys-unavailable");
  expect((await failing(secrets.set("c-5-k1", value))).code).toBe("keys-unavailable");
  expect((await failing(secrets.delete("c-5-k1"))).code).toBe("keys-unavailable");
});

test("a vault that cannot be reached, or no token for it, is keys-unavailable", async () => {
  const nowhere = secretStore({ url: "https://localhost:1", credential, disableChallengeResourceVerification: true });
  expect((await failing(nowhere.get("c-6-k1"))).code).toBe("keys-unavailable");
  const getToken = () => Promise.reject(new Error("no identity"));
  const nobody = secretStore({ url: vault.url, credential: { getToken }, disableChallengeResourceVerification: true });
  expect((await failing(nobody.get("c-6-k1"))).code).toBe("keys-unavailable");
});

test("does not follow a challenge of another domain unless told that the vault is a local one", async () => {
  expect((await failing(secretStore({ url: vault.url, credential }).get("c-7-k1"))).code).toBe("keys-unavailable");
});

test("no error carries the value", async () => {
  vault.faults.unavailableNext = 100;
  const error = await failing(secrets.set("c-8-k1", value));
  expect(everything(error)).toContain("Key Vault: 503");
  expect(everything(error)).not.toContain(value);
});

/** With message and cause, which JSON leaves out of errors. */
const everything = (error: unknown): string =>
  JSON.stringify(error, (_, part: unknown) =>
    part instanceof Error
      ? Object.fromEntries(Object.getOwnPropertyNames(part).map((name) => [name, Reflect.get(part, name)]))
      : part,
  );
