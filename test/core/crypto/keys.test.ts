import { createSecretKey, randomBytes } from "node:crypto";
import { SecretClient } from "@azure/keyvault-secrets";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { directoryStore } from "../../../src/adapters/cosmos/directory-store.ts";
import { handshakeStore } from "../../../src/adapters/cosmos/handshake-store.ts";
import { secretStore } from "../../../src/adapters/key-vault/secret-store.ts";
import { plainEntry } from "../../../src/core/audit/change-log.ts";
import type { KeyRing } from "../../../src/core/crypto/key-ring.ts";
import { type Keys, type KeysNeeds, makeKeys } from "../../../src/core/crypto/keys.ts";
import { writeGenerations } from "../../../src/core/crypto/platform-secrets.ts";
import { open, type Place, SealBroken, seal, sealedUnder } from "../../../src/core/crypto/seal.ts";
import { AppError, type ProblemCode } from "../../../src/core/errors.ts";
import { ids, type RingDoc } from "../../../src/core/store/documents.ts";
import type { DirectoryStore, HandshakeStore, SecretStore } from "../../../src/core/store/ports.ts";
import { type KeyVault, startKeyVault } from "../../../src/local/key-vault/server.ts";
import { createCertificateAuthority, trustInThisProcess } from "../../../src/local/tls.ts";
import { creates, newId, openTestDatabase, type TestDatabase } from "../../adapters/cosmos-fixture.ts";
import { testAmbient } from "../test-ambient.ts";

const credential = { getToken: async () => ({ token: "test", expiresOnTimestamp: Date.now() + 3_600_000 }) };

let database: TestDatabase;
let vault: KeyVault;
let store: DirectoryStore;
let handshakes: HandshakeStore;
let secrets: SecretStore;
beforeAll(async () => {
  const authority = await createCertificateAuthority();
  trustInThisProcess(authority.caPem);
  const tls = await authority.issueServerCertificate();
  vault = await startKeyVault({ tls, verifyToken: (bearer) => bearer === "test" });
  secrets = secretStore({ url: vault.url, credential, disableChallengeResourceVerification: true, now: ambient.now });
  database = await openTestDatabase();
  store = directoryStore(database.cosmos.directory);
  handshakes = handshakeStore(database.cosmos.handshakes);
});
afterEach(() => {
  Object.assign(vault.faults, { unavailableNext: 0, throttleNext: 0, slowByMs: 0 });
});
afterAll(() => Promise.all([vault.close(), database.close()]));

const ambient = testAmbient();
/** Another instance of the app: nothing in its memory yet. */
const instance = (needs: Partial<KeysNeeds> = {}): Keys => makeKeys({ ambient, secrets, store, handshakes, ...needs });

/** A vault of its own inside the shared one, with turns of its own to make keys in it. */
const apart = (): Pick<KeysNeeds, "secrets" | "handshakes"> => {
  const prefix = newId();
  return {
    secrets: {
      get: (name) => secrets.get(`${prefix}-${name}`),
      set: (name, value) => secrets.set(`${prefix}-${name}`, value),
      delete: (name) => secrets.delete(`${prefix}-${name}`),
    },
    handshakes: { claim: (id, ttlSeconds) => handshakes.claim(`${prefix}-${id}`, ttlSeconds) },
  };
};

const save = async (doc: RingDoc): Promise<void> => {
  const stored = await store.read(doc.connectionId, "ring", ids.ring);
  const outcome = await store.write(
    doc.connectionId,
    stored ? [{ op: "replace", doc, etag: stored._etag }] : creates(doc),
  );
  if (!outcome.ok) throw new Error("the ring could not be stored");
};

const draft = async (keys = instance()): Promise<{ id: string; ring: KeyRing; doc: RingDoc }> => {
  const id = newId();
  const { ring, doc } = await keys.draftRing(id);
  await save(doc);
  return { id, ring, doc };
};

const proven = async (): Promise<{ id: string; ring: KeyRing }> => {
  const { id, ring, doc } = await draft();
  await save(await instance().promote(doc));
  return { id, ring };
};

const same = (one: KeyRing, other: KeyRing): boolean =>
  one.sealing.key.equals(other.sealing.key) &&
  one.wrapping.key.equals(other.wrapping.key) &&
  one.index.equals(other.index) &&
  one.sealing.id === other.sealing.id;

const failsWith = async (promise: Promise<unknown>, code: ProblemCode): Promise<void> => {
  const error: unknown = await promise.catch((reason: unknown) => reason);
  expect(error).toBeInstanceOf(AppError);
  expect((error as AppError).code).toBe(code);
};

/** Requests to vault and database while `work` runs. */
const asked = async (work: () => Promise<unknown>): Promise<{ vault: number; database: number }> => {
  const before = { vault: vault.calls.get, database: database.server.requests() };
  await work();
  return { vault: vault.calls.get - before.vault, database: database.server.requests() - before.database };
};

describe("a draft's ring", () => {
  it("is opened by every instance, with the platform key alone", async () => {
    const { id, ring, doc } = await draft();
    expect(doc.generation).toBeNull();
    expect(sealedUnder(doc.wrapped)).toBe("draft-1");
    const place: Place = { container: "directory", partition: id, document: "connection", fields: "displayName" };
    const sealed = seal(ambient, ring.sealing, place, "Fabrikam");
    expect(open((await instance().ring(id)).sealing, place, sealed)).toBe("Fabrikam");
    expect(await secrets.get(`c-${id}-k1`)).toBeNull();
  });

  it("does not open as another connection's", async () => {
    const { doc } = await draft();
    const id = newId();
    await save({ ...doc, connectionId: id });
    await expect(instance().ring(id)).rejects.toThrow(SealBroken);
  });
});

describe("becoming proven", () => {
  it("wraps the very same ring under a key in the vault", async () => {
    const { id, ring, doc } = await draft();
    const promoted = await instance().promote(doc);
    expect(promoted.generation).toBe(1);
    expect(sealedUnder(promoted.wrapped)).toBe("c-1");
    await save(promoted);
    expect(same(await instance().ring(id), ring)).toBe(true);
    expect(await instance().promote(promoted)).toBe(promoted);
  });

  it("can be repeated, and each of the documents opens", async () => {
    const { id, ring, doc } = await draft();
    for (const promoted of [await instance().promote(doc), await instance().promote(doc)]) {
      await save(promoted);
      expect(same(await instance().ring(id), ring)).toBe(true);
    }
  });

  it("leaves a usable ring when many race, whoever's document is kept", async () => {
    const { id, ring, doc } = await draft();
    const promoted = await Promise.all(Array.from({ length: 8 }, () => instance().promote(doc)));
    for (const one of promoted) {
      await save(one);
      expect(same(await instance().ring(id), ring)).toBe(true);
    }
  });

  it("leaves a usable ring when a slow racer sets its key after the other's document was kept", async () => {
    const { id, ring, doc } = await draft();
    const stalled = Promise.withResolvers<void>();
    const arrived = Promise.withResolvers<void>();
    const slow: SecretStore = {
      ...secrets,
      set: async (name, value) => {
        arrived.resolve();
        await stalled.promise;
        await secrets.set(name, value);
      },
    };
    await instance().platform();
    const late = instance({ secrets: slow }).promote(doc);
    await arrived.promise;
    await save(await instance().promote(doc));
    stalled.resolve();
    await late;
    expect(same(await instance().ring(id), ring)).toBe(true);
  });

  it("keeps nothing in the new document that the platform key opens", async () => {
    const { doc } = await draft();
    const promoted = await instance().promote(doc);
    const place: Place = { container: "directory", partition: doc.connectionId, document: "ring", fields: "ring" };
    const platform = (await instance().platform()).derive("draft", 1);
    expect(Object.keys(open<object>(platform, place, doc.wrapped))).toContain("connectionKey");
    expect(() => open(platform, place, promoted.wrapped)).toThrow(SealBroken);
    const value = Buffer.from((await secrets.get(`c-${doc.connectionId}-k1`)) ?? "", "base64url");
    const content = open<object>({ id: "c-1", key: createSecretKey(value) }, place, promoted.wrapped);
    expect(Object.keys(content).toSorted()).toEqual(["id", "index", "sealing", "wrapping"]);
  });
});

describe("what cannot be had", () => {
  it("is key-missing when the connection key is gone, remembered for 30 s and then asked again", async () => {
    const { id, ring } = await proven();
    await secrets.delete(`c-${id}-k1`);
    const keys = instance();
    expect((await asked(() => failsWith(keys.ring(id), "key-missing"))).vault).toBe(1);
    ambient.advance(29_999);
    expect(await asked(() => failsWith(keys.ring(id), "key-missing"))).toEqual({ vault: 0, database: 0 });
    const operator = new SecretClient(vault.url, credential, { disableChallengeResourceVerification: true });
    await (await operator.beginRecoverDeletedSecret(`c-${id}-k1`, { intervalInMs: 10 })).pollUntilDone();
    await failsWith(keys.ring(id), "key-missing");
    ambient.advance(1);
    expect(same(await keys.ring(id), ring)).toBe(true);
  });

  it("is key-missing when there is no ring, without a word to the vault", async () => {
    const keys = instance();
    const id = newId();
    expect(await asked(() => failsWith(keys.ring(id), "key-missing"))).toEqual({ vault: 0, database: 1 });
    expect(await asked(() => failsWith(keys.ring(id), "key-missing"))).toEqual({ vault: 0, database: 0 });
  });

  it.each(["unavailableNext", "throttleNext"] as const)(
    "is keys-unavailable while the vault says %s: it is left alone for a moment, then asked again",
    async (fault) => {
      const { id, ring } = await proven();
      const keys = instance();
      vault.faults[fault] = 100;
      await failsWith(keys.ring(id), "keys-unavailable");
      vault.faults[fault] = 0;
      const requests = await asked(() => failsWith(instance().ring(id), "keys-unavailable"));
      expect(requests.vault).toBe(0);
      ambient.advance(1000);
      expect(same(await keys.ring(id), ring)).toBe(true);
    },
  );

  it("is found again when the key was replaced, and the old one deleted, while it was being loaded", async () => {
    const { id, ring } = await proven();
    const behind = await store.read(id, "ring", ids.ring);
    if (!behind) throw new Error("there is no ring");
    const wrapping = instance().wrapping;
    const entry = plainEntry(ambient, { kind: "security", op: "updated", object: "keys", cause: "test" });
    const rotated = await wrapping.promote(await wrapping.promise(behind, 2, entry));
    let reads = 0;
    const racing: Pick<DirectoryStore, "read"> = {
      read: async (...what) => {
        if (reads++ > 0) return await store.read(...what);
        const before = await store.read(...what);
        await save(rotated);
        await wrapping.discard(id, 1);
        return before;
      },
    };
    expect(same(await instance({ store: racing }).ring(id), ring)).toBe(true);
    expect(reads).toBe(2);
  });

  it("is store-unavailable while the database is down, and that is not remembered", async () => {
    const { id, ring } = await proven();
    const keys = instance();
    database.server.faults.rules = [{ on: ["read"], answer: 503, when: "before" }];
    await failsWith(keys.ring(id), "store-unavailable");
    database.server.faults.rules = [];
    expect(same(await keys.ring(id), ring)).toBe(true);
  });

  it.each(["platform-k1", "platform-generations", "connection"])(
    "is keys-unavailable when %s holds something else than it should",
    async (which) => {
      const own = apart();
      const { id, doc } = await draft(instance(own));
      await save(await instance(own).promote(doc));
      await own.secrets.set(which === "connection" ? `c-${id}-k1` : which, "rotated by hand");
      const keys = instance(own);
      await failsWith(which === "connection" ? keys.ring(id) : keys.platform(), "keys-unavailable");
    },
  );

  it("is keys-unavailable when the platform key that seals is not in the vault, and an old one may be gone", async () => {
    const own = apart();
    await secondPlatformKey(own);
    expect((await instance(own).platform()).current).toBe(2);
    const without = (gone: string): SecretStore => ({
      ...own.secrets,
      get: async (name) => (name === gone ? null : await own.secrets.get(name)),
    });
    await failsWith(instance({ ...own, secrets: without("platform-k2") }).platform(), "keys-unavailable");
    const platform = await instance({ ...own, secrets: without("platform-k1") }).platform();
    expect(() => platform.derive("access", 1)).toThrow("key-missing");
  });

  it("is keys-unavailable when a draft was sealed under a platform key that this instance does not know yet", async () => {
    const own = apart();
    const behind = instance(own);
    expect((await behind.platform()).current).toBe(1);
    await secondPlatformKey(own);
    const { id, ring, doc } = await draft(instance(own));
    expect(sealedUnder(doc.wrapped)).toBe("draft-2");
    await failsWith(behind.ring(id), "keys-unavailable");
    ambient.advance(600_000);
    expect(same(await behind.ring(id), ring)).toBe(true);
  });
});

describe("the cache", () => {
  it("asks vault and database once for 200 who ask at once, and gives all the same ring", async () => {
    const { id } = await proven();
    const keys = instance();
    vault.faults.slowByMs = 20;
    let rings: KeyRing[] = [];
    const requests = await asked(async () => {
      rings = await Promise.all(Array.from({ length: 200 }, () => keys.ring(id)));
    });
    expect(requests).toEqual({ vault: 1, database: 1 });
    expect(new Set(rings).size).toBe(1);
  });

  it("asks again when its time is up, by the clock it was given", async () => {
    const { id } = await proven();
    const keys = instance({ cacheMilliseconds: 1000 });
    await keys.ring(id);
    ambient.advance(999);
    expect(await asked(() => keys.ring(id))).toEqual({ vault: 0, database: 0 });
    ambient.advance(1);
    expect(await asked(() => keys.ring(id))).toEqual({ vault: 1, database: 1 });
  });

  it("asks again when it was told to forget, also while the old answer is on its way", async () => {
    const { id } = await proven();
    const keys = instance();
    const onItsWay = keys.ring(id);
    keys.forget(id);
    await onItsWay;
    expect((await asked(() => keys.ring(id))).vault).toBe(1);
    expect((await asked(() => keys.ring(id))).vault).toBe(0);
  });

  it("keeps connections apart", async () => {
    const [one, other] = [await proven(), await proven()];
    const keys = instance();
    const rings = await Promise.all([keys.ring(one.id), keys.ring(other.id)]);
    expect(same(rings[0], one.ring) && same(rings[1], other.ring)).toBe(true);
    expect(same(rings[0], rings[1])).toBe(false);
  });
});

describe("what has to be done to a connection first", () => {
  it("is done before its keys are handed out, once for each time they are loaded", async () => {
    const { id } = await proven();
    const settled: string[] = [];
    const keys = instance({ settle: async (connectionId) => void settled.push(connectionId) });
    await Promise.all([keys.ring(id), keys.ring(id)]);
    await keys.ring(id);
    expect(settled).toEqual([id]);
  });

  it("and cannot be done: then there are no keys, and the next who asks tries again", async () => {
    const { id } = await proven();
    let fails = true;
    const keys = instance({
      settle: async () => {
        if (fails) throw new AppError("store-unavailable");
      },
    });
    await failsWith(keys.ring(id), "store-unavailable");
    fails = false;
    await keys.ring(id);
  });
});

describe("destroying", () => {
  it("deletes every generation of the key, and nobody opens the ring any more", async () => {
    const { id } = await proven();
    await secrets.set(`c-${id}-k2`, randomBytes(32).toString("base64url"));
    await secrets.set(`erasures-${id}`, "who was erased");
    const keys = instance();
    await keys.ring(id);
    await keys.destroy(id, 2);
    const names = [`c-${id}-k1`, `c-${id}-k2`, `erasures-${id}`];
    expect(await Promise.all(names.map((each) => secrets.get(each)))).toEqual([null, null, null]);
    await failsWith(keys.ring(id), "key-missing");
    await failsWith(instance().ring(id), "key-missing");
    await keys.destroy(id, 2);
  });

  it("of a draft also takes the secret of a promotion that got no further", async () => {
    const { id, doc } = await draft();
    await instance().promote(doc);
    expect(await secrets.get(`c-${id}-k1`)).not.toBeNull();
    await instance().destroy(id, null);
    expect(await secrets.get(`c-${id}-k1`)).toBeNull();
  });
});

/** A first and a second platform key, of which the second has been there for a day. */
const secondPlatformKey = async ({ secrets: own }: Pick<KeysNeeds, "secrets">): Promise<void> => {
  const yesterday = ambient.now() - 86_400_000;
  if ((await own.get("platform-k1")) === null) await own.set("platform-k1", randomBytes(32).toString("base64url"));
  await own.set("platform-k2", randomBytes(32).toString("base64url"));
  await writeGenerations(
    own,
    [1, 2].map((n) => ({ n, madeAt: yesterday })),
  );
};

describe("the platform key", () => {
  it("is made once: of many first instances one makes it, and the others use it or are told to come again", async () => {
    const own = apart();
    let sets = 0;
    const counting: SecretStore = {
      ...own.secrets,
      set: async (name, value) => {
        sets++;
        await own.secrets.set(name, value);
      },
    };
    const racers = await Promise.allSettled(
      Array.from({ length: 8 }, () => instance({ ...own, secrets: counting }).platform()),
    );
    expect(sets).toBe(1);
    const later = (await instance(own).platform()).derive("access", 1).key;
    const made = racers.flatMap((racer) => (racer.status === "fulfilled" ? [racer.value] : []));
    expect(made.length).toBeGreaterThan(0);
    for (const platform of made) expect(platform.derive("access", 1).key.equals(later)).toBe(true);
    for (const racer of racers)
      if (racer.status === "rejected") expect(racer.reason).toMatchObject({ code: "keys-unavailable" });
  });

  it("of a new generation seals what is new, and the old one still opens what it sealed", async () => {
    const own = apart();
    const old = await draft(instance(own));
    await secondPlatformKey(own);
    const keys = instance(own);
    expect((await keys.platform()).current).toBe(2);
    expect(same(await keys.ring(old.id), old.ring)).toBe(true);
  });
});
