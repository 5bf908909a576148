/**
 * The shipped bundle in the function host, over real sockets: consent, full read, five rounds of random change and delta. Each
 * seed is a tenant and a workspace of its own; a few go on at the same time, as customers do. The database is in a bad mood all
 * the while: short pages, throttling, requests that fail, and commits whose answer is lost.
 */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type CosmosFaults, noFaults } from "../../src/local/cosmos/server.ts";
import { readPicture } from "../../src/local/demo/picture.ts";
import { faultInChain } from "../../src/local/demo/stored-chain.ts";
import { connectTenant, nothing, startTestStack, type TestStack } from "../support/stack.ts";

const badMood: CosmosFaults = {
  ...noFaults(),
  shortPages: 0.2,
  rules: [
    { answer: 429, retryAfterMs: 5, share: 0.02 },
    { answer: 449, retryAfterMs: 5, on: ["write", "batch"], share: 0.02 },
    { answer: 503, when: "before", on: ["read", "query"], share: 0.02 },
    { answer: "reset", when: "after", on: ["batch"], container: "directory", share: 0.04 },
  ],
};

let stack: TestStack;
beforeAll(async () => {
  stack = await startTestStack({ seed: 11, cosmosFaults: badMood });
});
afterAll(() => stack.stop());

const seeds = process.env.LONG ? 60 : 20;
const rounds = 5;

describe.concurrent("a tenant", { timeout: 300_000 }, () => {
  for (let seed = 1; seed <= seeds; seed++)
    it(`consents, is read and followed through ${rounds} rounds (seed ${seed})`, async () => {
      const tenant = await connectTenant(stack, { users: 60, groups: 12, seed, workspace: `w${seed}` });
      await tenant.first();
      expect(await tenant.compare()).toEqual({ tenant: nothing, feed: nothing });
      for (let round = 1; round <= rounds; round++) {
        await tenant.change(seed * 100 + round, 12);
        await tenant.sync();
        expect(await tenant.compare()).toEqual({ tenant: nothing, feed: nothing });
      }
      const { witness } = await readPicture(tenant.product, `/connections/${tenant.connectionId}`);
      expect(await faultInChain(stack.cosmos!, tenant.connectionId, witness)).toBeNull();
    });
});
