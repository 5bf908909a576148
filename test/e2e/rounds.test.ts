/**
 * The shipped bundle in the function host, over real sockets: consent, full read, five rounds of random change and delta. Each
 * seed is a tenant and a workspace of its own; a few go on at the same time, as customers do.
 */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { readPicture } from "../../src/local/demo/picture.ts";
import { faultInChain } from "../../src/local/demo/stored-chain.ts";
import { connectTenant, nothing, startTestStack, type TestStack } from "../support/stack.ts";

let stack: TestStack;
beforeAll(async () => {
  stack = await startTestStack({ seed: 11 });
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
