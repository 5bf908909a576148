import { createLocalJWKSet, decodeProtectedHeader, jwtVerify } from "jose";
import { describe, expect, test } from "vitest";
import { rolesAt, type SigningKey, signingKeys } from "../../../src/core/sso/signing-keys.ts";
import { type TestAmbient, testAmbient } from "../test-ambient.ts";

const day = 86_400_000;
const start = Date.parse("2026-03-01T12:00:00.000Z");

const keyMadeOn = (days: number): SigningKey => ({
  kty: "EC",
  crv: "P-256",
  x: "x",
  y: "y",
  d: "d",
  kid: `day ${days}`,
  createdAt: new Date(start + days * day).toISOString(),
});

test.each<[string, number[], number, string | null, string[], boolean]>([
  ["before there is one", [], 0, null, [], true],
  ["the first signs at once", [0], 0, "day 0", ["day 0"], false],
  ["the first grows old", [0], 89.99, "day 0", ["day 0"], false],
  ["a successor is due", [0], 90, "day 0", ["day 0"], true],
  ["the successor is published and does not sign yet", [0, 90], 90.99, "day 0", ["day 0", "day 90"], false],
  ["it signs, and its predecessor stays published", [0, 90], 91, "day 90", ["day 0", "day 90"], false],
  ["the predecessor goes", [0, 90], 92, "day 90", ["day 90"], false],
  ["after a long rest the last one signs on", [0, 90], 400, "day 90", ["day 90"], true],
])("%s", (_, made, days, signs, published, isDue) => {
  const roles = rolesAt(made.map(keyMadeOn), start + days * day);
  expect({ ...roles, signs: roles.signs?.kid ?? null, published: roles.published.map(({ kid }) => kid) }).toEqual({
    signs,
    published,
    isDue,
  });
});

describe("keys in the vault", () => {
  const world = () => {
    const ambient = testAmbient();
    const secrets = new Map<string, string>();
    const claimed = new Map<string, number>();
    const instance = () =>
      signingKeys({
        ambient,
        secrets: {
          get: async (name) => secrets.get(name) ?? null,
          set: async (name, value) => void secrets.set(name, value),
        },
        handshakes: {
          claim: async (id, ttlSeconds) => {
            if ((claimed.get(id) ?? 0) > ambient.now()) return false;
            claimed.set(id, ambient.now() + ttlSeconds * 1000);
            return true;
          },
        },
      });
    return { ambient, secrets, instance };
  };
  const signer = async (keys: ReturnType<typeof signingKeys>): Promise<string> =>
    decodeProtectedHeader(await keys.sign({})).kid ?? "";

  test("what is signed verifies with what is published, and nothing private is", async () => {
    const keys = world().instance();
    const token = await keys.sign({ sub: "somebody" });
    const published = await keys.published();
    expect(Object.keys(published[0] ?? {}).toSorted()).toEqual(["alg", "crv", "kid", "kty", "use", "x", "y"]);
    const { payload } = await jwtVerify(token, createLocalJWKSet({ keys: published }), { algorithms: ["ES256"] });
    expect(payload.sub).toBe("somebody");
    expect(await keys.verified(token)).toEqual({ sub: "somebody" });
    expect(await keys.verified(`${token.slice(0, -4)}AAAA`)).toBeNull();
  });

  test("two instances that start at once make one key", async () => {
    const { instance, secrets } = world();
    const instances = [instance(), instance()];
    const settled = await Promise.allSettled(instances.map(signer));
    expect(secrets.size).toBe(1);
    expect(settled.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
    expect(new Set(await Promise.all(instances.map(signer))).size).toBe(1);
  });

  test("a key is replaced in time, and every token stays verifiable for as long as it lives", async () => {
    const { ambient, instance, secrets } = world();
    const keys = instance();
    const first = await signer(keys);
    const step = (hours: number): void => (ambient satisfies TestAmbient).advance(hours * 3_600_000);
    step(90 * 24);
    expect(await signer(keys)).toBe(first);
    expect(secrets.size).toBe(2);
    const early = await instance().published();
    step(25);
    const second = await signer(keys);
    expect(second).not.toBe(first);
    expect(early.map(({ kid }) => kid)).toEqual([first, second]);
    expect((await keys.published()).map(({ kid }) => kid)).toEqual([first, second]);
    step(25);
    expect((await keys.published()).map(({ kid }) => kid)).toEqual([second]);
  });

  test("a key that an operator has revoked neither signs nor is published, and another takes its place", async () => {
    const { ambient, instance, secrets } = world();
    const keys = instance();
    const first = await signer(keys);
    secrets.set("sso-k1", "revoked");
    ambient.advance(600_001);
    const second = await signer(keys);
    expect(second).not.toBe(first);
    expect((await keys.published()).map(({ kid }) => kid)).toEqual([second]);
  });
});
