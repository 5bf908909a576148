/** The key of a connection is replaced: by hand and by the timer, by processes that die and by two at once. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { chainStart, verifyChain } from "../../../src/core/audit/change-log.ts";
import { updateConnection } from "../../../src/core/connections/update.ts";
import { type Keys, makeKeys } from "../../../src/core/crypto/keys.ts";
import { sealedUnder } from "../../../src/core/crypto/seal.ts";
import { AppError } from "../../../src/core/errors.ts";
import { type CareNeeds, careForKeys } from "../../../src/core/keys/care.ts";
import { rotateKeys, showKeys } from "../../../src/core/keys/manage.ts";
import { finishRotation, graceMilliseconds } from "../../../src/core/keys/rotation.ts";
import { ids, type RingDoc } from "../../../src/core/store/documents.ts";
import { mortal as mortalNeeds } from "../../support/mortal.ts";
import { caller, codeOf, connected, openStage, type Stage } from "../connections-stage.ts";

const day = 86_400_000;
const year = 365 * day;

let stage: Stage;
beforeAll(async () => {
  stage = await openStage();
});
afterAll(() => stage.close());

/** Another instance of the app: nothing in its memory yet. */
const instance = (over: Partial<CareNeeds> = {}): CareNeeds & { keys: Keys } => {
  const { ambient, store, handshakes } = stage.needs;
  const needs = { ambient, store, handshakes, secrets: stage.secrets, ...over };
  return { rotationMilliseconds: year, sliceMilliseconds: 60_000, ...needs, keys: makeKeys(needs) };
};
/** One that dies after so many calls to the database and the vault. */
const mortal = (calls: number): CareNeeds => instance(mortalNeeds(instance(), calls, ["store", "secrets"]));
const rotate = (id: string, needs: CareNeeds = instance()) => rotateKeys(needs)(caller(), id);
const care = (over: Partial<CareNeeds> = {}) => careForKeys(instance(over))();

const ringOf = async (id: string): Promise<RingDoc> => {
  const ring = await stage.store.read(id, "ring", ids.ring);
  if (!ring) throw new Error("there is no ring");
  return ring;
};
const secretsOf = (id: string): string[] => [...stage.secrets.values.keys()].filter((name) => name.includes(id));
const records = async (id: string) => (await stage.log(id)).filter(({ object }) => object === "keys");
const nameOf = async (id: string): Promise<string> => (await stage.cases.read(caller(), id)).displayName;

let made = 0;
const proven = async (): Promise<string> => {
  const authTime = Math.floor(stage.ambient.now() / 1000);
  stage.microsoft.person = { ...stage.microsoft.person, authTime };
  return (await connected(stage, caller(), `Connection ${made++}`)).id;
};
/** Old enough that a key may be replaced again. */
const later = () => stage.ambient.advance(3_600_000);

const documents = async (id: string) => {
  const query = stage.cosmos.directory.items.query<{ id: string; _etag: string }>("SELECT * FROM c", {
    partitionKey: id,
  });
  return new Map((await query.fetchAll()).resources.map((doc) => [doc.id, doc._etag]));
};

/** Whole: one secret, which opens the ring, and as many records as generations after the first. */
const expectWhole = async (id: string, generation: number): Promise<void> => {
  const ring = await ringOf(id);
  expect(ring).toMatchObject({ generation, careAt: null });
  expect(ring.rotation).toBeUndefined();
  expect(sealedUnder(ring.wrapped)).toBe(`c-${generation}`);
  expect(secretsOf(id)).toEqual([`c-${id}-k${generation}`]);
  expect(await nameOf(id)).toMatch(/^Connection/);
  expect((await instance().keys.ring(id)).sealing.key.equals((await stage.needs.keys.ring(id)).sealing.key)).toBe(true);
  expect((await records(id)).length).toBe(generation - 1);
  const { fault } = verifyChain(await stage.store.log(id, 0, 100), { sequence: 0, chain: chainStart(id) });
  expect(fault).toBeNull();
};

describe("a rotation", () => {
  test("wraps the same ring under a new key, tells of it in the log, and changes nothing else", async () => {
    const id = await proven();
    const before = await documents(id);
    const first = stage.secrets.values.get(`c-${id}-k1`);
    const view = await rotate(id);
    expect(view).toMatchObject({ generation: 2, rotating: false, rekey: null });
    await expectWhole(id, 2);
    expect(stage.secrets.values.get(`c-${id}-k2`)).not.toBe(first);
    const after = await documents(id);
    const changed = [...after].filter(([name, etag]) => before.get(name) !== etag).map(([name]) => name);
    expect(changed.filter((name) => !name.startsWith("l:")).toSorted()).toEqual(["head", "ring"]);
    expect(await records(id)).toMatchObject([
      {
        kind: "security",
        op: "updated",
        cause: "api",
        changes: [{ field: "generation", before: 1, after: 2 }],
        actor: { subject: "alice", ip: "192.0.2.1" },
      },
    ]);
    expect(await showKeys(instance())(caller(), id)).toEqual(view);
  });

  test("is not noticed by an instance that has the ring in memory, and others open what it writes", async () => {
    const id = await proven();
    const other = instance();
    const cached = await other.keys.ring(id);
    await rotate(id);
    const name = `Connection, renamed ${made++}`;
    const { etag } = await stage.cases.read(caller(), id);
    await updateConnection({ ...stage.needs, keys: other.keys })(caller(), id, etag, {
      displayName: name,
    });
    expect(await other.keys.ring(id)).toBe(cached);
    expect(await nameOf(id)).toBe(name);
    await expectWhole(id, 2);
  });

  test("leaves no key in the vault when the connection is deleted in the middle of it", async () => {
    const id = await proven();
    const stuck = { ...stage.secrets, delete: () => Promise.reject(new AppError("keys-unavailable")) };
    expect(await codeOf(rotate(id, instance({ secrets: stuck })))).toBe("keys-unavailable");
    expect(secretsOf(id).length).toBe(2);
    const { generation } = await ringOf(id);
    await stage.needs.keys.destroy(id, generation);
    expect(secretsOf(id)).toEqual([]);
    const early = await proven();
    stage.secrets.values.set(`c-${early}-k2`, "as far as the vault");
    await stage.needs.keys.destroy(early, 1);
    expect(secretsOf(early)).toEqual([]);
  });

  test("is refused where there is nothing to replace, to others, and more than once an hour", async () => {
    const draft = await stage.draft(caller(), `Draft ${made++}`);
    expect(await codeOf(rotate(draft.id))).toBe("state-conflict");
    const id = await proven();
    expect(await codeOf(rotateKeys(instance())(caller("globex"), id))).toBe("connection-not-found");
    await rotate(id);
    expect(await codeOf(rotate(id))).toBe("rate-limited");
    later();
    await rotate(id);
    await expectWhole(id, 3);
    await stage.cases.close(caller(), id, { displayName: await nameOf(id) });
    later();
    expect(await codeOf(rotate(id))).toBe("state-conflict");
  });

  test("whose key the vault does not keep does not take the ring away", async () => {
    const id = await proven();
    const forgetful = { ...stage.secrets, set: async () => {} };
    expect(await codeOf(rotate(id, instance({ secrets: forgetful })))).toBe("keys-unavailable");
    expect(await ringOf(id)).toMatchObject({ generation: 1, rotation: { to: 2 } });
    expect(await nameOf(id)).toMatch(/^Connection/);
    stage.ambient.advance(graceMilliseconds);
    await care();
    await expectWhole(id, 2);
  });
});

describe("a process that dies inside a rotation", () => {
  /** More than the calls to the outside that one takes. */
  const mostCalls = 34;

  test.each(Array.from({ length: mostCalls }, (_, calls) => calls))(
    "after %i calls is followed by the timer",
    async (calls) => {
      const id = await proven();
      const died = await rotate(id, mortal(calls)).then(
        () => false,
        () => true,
      );
      const begun = (await ringOf(id)).rotation !== undefined;
      stage.ambient.advance(graceMilliseconds);
      await care();
      await expectWhole(id, died && !begun && (await ringOf(id)).generation === 1 ? 1 : 2);
      if (calls === mostCalls - 1) expect(died).toBe(false);
    },
  );
});

describe("two rotations at once", () => {
  test("are one: one key, one record", async () => {
    const id = await proven();
    const views = await Promise.all([rotate(id), rotate(id), rotate(id)]);
    expect(views.map(({ generation }) => generation)).toEqual([2, 2, 2]);
    await expectWhole(id, 2);
  });

  test("of which one finds the old key gone: the other has done it", async () => {
    const id = await proven();
    const forgetful = { ...stage.secrets, set: async () => {} };
    expect(await codeOf(rotate(id, instance({ secrets: forgetful })))).toBe("keys-unavailable");
    const overtaken = {
      ...stage.secrets,
      get: async (name: string) => {
        if (name === `c-${id}-k1`) await rotate(id);
        return await stage.secrets.get(name);
      },
    };
    expect(await finishRotation(instance({ secrets: overtaken }))(id)).toMatchObject({ generation: 2 });
    await expectWhole(id, 2);
  });

  test("of which one comes late with its key: the ring opens all the same", async () => {
    const id = await proven();
    const arrived = Promise.withResolvers<void>();
    const goOn = Promise.withResolvers<void>();
    const slow = {
      ...stage.secrets,
      set: async (name: string, value: string) => {
        arrived.resolve();
        await goOn.promise;
        await stage.secrets.set(name, value);
      },
    };
    const late = rotate(id, instance({ secrets: slow }));
    await arrived.promise;
    await rotate(id);
    goOn.resolve();
    await late;
    await expectWhole(id, 2);
  });
});

test("answers that the database loses are no second rotation, and none that is lost", async () => {
  const id = await proven();
  stage.server.faults.rules = [{ on: ["batch"], answer: "reset", when: "after", share: 0.4 }];
  for (let turn = 0; turn < 4; turn++) {
    await rotate(id);
    later();
  }
  stage.server.faults.rules = [];
  await expectWhole(id, 5);
});

describe("the timer", () => {
  beforeAll(async () => {
    await stage.close();
    stage = await openStage();
  });

  test("replaces what is old, once, and costs nothing for what is not", async () => {
    await care();
    stage.ambient.advance(2 * year);
    while ((await care()).connections > 0);
    stage.ambient.advance(10 * day);
    const id = await proven();
    expect(await care()).toMatchObject({ connections: 0, failed: 0 });
    stage.ambient.advance(year - 20 * day);
    while ((await care()).connections > 0);
    await expectWhole(id, 1);
    stage.ambient.advance(20 * day);
    expect((await care()).failed).toBe(0);
    await expectWhole(id, 2);
    const [record] = await records(id);
    expect(record).toMatchObject({ cause: "schedule", actor: null });
    while ((await care()).connections > 0);
    // A shorter setting holds for what is stored already.
    stage.ambient.advance(31 * day);
    await care({ rotationMilliseconds: 30 * day });
    await expectWhole(id, 3);
  });

  test("wraps a draft anew under the platform key, whose ring stays what it is", async () => {
    const { id } = await stage.draft(caller(), `Draft ${made++}`);
    const before = await ringOf(id);
    stage.ambient.advance(year);
    while ((await care()).connections > 0);
    const after = await ringOf(id);
    expect(after.wrappedAt).toBeGreaterThan(before.wrappedAt);
    expect(after.generation).toBeNull();
    expect(await nameOf(id)).toMatch(/^Draft/);
  });

  test("puts off what fails, holds up nobody else, and says so", async () => {
    const [broken, stuck, other] = [await proven(), await proven(), await proven()];
    const whole = await ringOf(broken);
    await stage.cosmos.directory.items.upsert({ ...whole, wrapped: `${whole.wrapped.slice(0, -4)}AAAA` });
    stage.ambient.advance(year);
    const refusing = {
      ...stage.secrets,
      set: async (name: string, value: string) => {
        if (name.includes(stuck)) throw new AppError("keys-unavailable");
        await stage.secrets.set(name, value);
      },
    };
    expect(await careForKeys(instance({ secrets: refusing }))()).toMatchObject({
      failed: 2,
      problem: expect.stringMatching(/^(unexpected|keys-unavailable)$/),
    });
    await expectWhole(other, 2);
    // What was begun is gone on with at once, what could not be begun is looked at again later.
    stage.ambient.advance(graceMilliseconds);
    expect(await care()).toMatchObject({ connections: 1, failed: 0 });
    await expectWhole(stuck, 2);
    expect((await care()).connections).toBe(0);
    later();
    expect(await care()).toMatchObject({ connections: 1, failed: 1, problem: "unexpected" });
    await stage.cosmos.directory.items.upsert(whole);
    later();
    while ((await care()).connections > 0);
    await expectWhole(broken, 2);
  });

  test("leaves a connection alone that is being deleted", async () => {
    const id = await proven();
    await stage.cases.close(caller(), id, { displayName: await nameOf(id) });
    stage.ambient.advance(year);
    await care();
    expect(await ringOf(id)).toMatchObject({ generation: 1 });
    expect(secretsOf(id)).toEqual([`c-${id}-k1`]);
  });
});
