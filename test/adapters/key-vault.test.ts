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

/** With a clock of its own: after an overload the vault is left alone for a while. */
const another = (callMilliseconds = 10_000) => {
  let time = 0;
  const now = () => time;
  return {
    ...secretStore({ url: vault.url, credential, disableChallengeResourceVerification: true, callMilliseconds, now }),
    advance: (milliseconds: number) => {
      time += milliseconds;
    },
  };
};
const callsIn = async (work: () => Promise<unknown>): Promise<number> => {
  const all = () => Object.values(vault.calls).reduce((sum, count) => sum + count, 0);
  const before = all();
  await work();
  return all() - before;
};

test.each(["throttleNext", "unavailableNext"] as const)("when %s lasts, keys are unavailable", async (fault) => {
  vault.faults[fault] = 100;
  expect((await failing(another().get("c-5-k1"))).code).toBe("keys-unavailable");
  expect((await failing(another().set("c-5-k1", value))).code).toBe("keys-unavailable");
  expect((await failing(another().delete("c-5-k1"))).code).toBe("keys-unavailable");
});

test("an overloaded vault is left alone, twice as long each time, and nobody waits meanwhile", async () => {
  const instance = another();
  vault.faults.unavailableNext = 6;
  expect(await callsIn(() => failing(instance.get("c-10-k1")))).toBe(3);
  for (const name of ["c-10-k1", "c-11-k1"]) {
    let error: AppError | null = null;
    expect(await callsIn(async () => (error = await failing(instance.get(name))))).toBe(0);
    expect(error).toMatchObject({ code: "keys-unavailable", details: { retryAfterSeconds: 1 } });
  }
  instance.advance(1000);
  expect(await callsIn(() => failing(instance.get("c-10-k1")))).toBe(3);
  instance.advance(1000);
  expect(await callsIn(() => failing(instance.get("c-10-k1")))).toBe(0);
  instance.advance(1000);
  expect(await instance.get("c-10-k1")).toBeNull();
});

test("a vault that takes too long, or asks to wait too long, is keys-unavailable, and is left alone", async () => {
  vault.faults.slowByMs = 60_000;
  const slow = another(50);
  expect((await failing(slow.get("c-12-k1"))).code).toBe("keys-unavailable");
  vault.faults.slowByMs = 0;
  expect(await callsIn(() => failing(slow.get("c-12-k1")))).toBe(0);
  Object.assign(vault.faults, { throttleNext: 1, retryAfterSeconds: 3600 });
  const throttled = another(500);
  expect((await failing(throttled.get("c-12-k1"))).code).toBe("keys-unavailable");
  expect(await callsIn(() => failing(throttled.get("c-12-k1")))).toBe(0);
  throttled.advance(1000);
  expect(await throttled.get("c-12-k1")).toBeNull();
});

test("what only an operator can mend does not keep the others waiting", async () => {
  const instance = another();
  await instance.set("c-13-k1", value);
  await instance.delete("c-13-k1");
  expect((await failing(instance.set("c-13-k1", value))).message).toContain("deleted");
  expect(await instance.get("c-14-k1")).toBeNull();
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
  const error = await failing(another().set("c-8-k1", value));
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
