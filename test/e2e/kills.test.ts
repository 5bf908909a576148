/** The host is killed at random moments of a run - SIGKILL, nothing is tidied up - and started again. */
import { setTimeout as delay } from "node:timers/promises";
import { QueueServiceClient } from "@azure/storage-queue";
import { afterAll, beforeAll, expect, it } from "vitest";
import { syncQueue } from "../../src/core/jobs.ts";
import { readPicture } from "../../src/local/demo/picture.ts";
import { faultInChain } from "../../src/local/demo/stored-chain.ts";
import { randomOf } from "../../src/local/simulator/directory/random.ts";
import { type ConnectedTenant, connectTenant, nothing, startTestStack, type TestStack } from "../support/stack.ts";

let stack: TestStack;
let tenant: ConnectedTenant;
beforeAll(async () => {
  stack = await startTestStack({ seed: 12 });
  tenant = await connectTenant(stack, { users: 250, groups: 30, seed: 77 });
  await tenant.first();
});
afterAll(() => stack.stop());

const kills = process.env.LONG ? 120 : 30;
const random = randomOf("kills", Number(process.env.SEED ?? 1));

/** As far away as a real one: a run lasts long enough to be met in each of its phases. */
const farDatabase = { latencyMs: 12 };
const nearDatabase = { latencyMs: 0 };

/** How many messages it held, with those that a dead worker had taken. */
const emptyQueue = async (): Promise<number> => {
  const queue = QueueServiceClient.fromConnectionString(stack.queues!.connectionString).getQueueClient(syncQueue);
  const { approximateMessagesCount = 0 } = await queue.getProperties();
  await queue.clearMessages();
  return approximateMessagesCount;
};

it(`equals the oracle after each of ${kills} kills, one of them with the queue emptied`, {
  timeout: 900_000,
}, async () => {
  let met = 0;
  let lostMessages = 0;
  for (let kill = 1; kill <= kills; kill++) {
    await tenant.change(1000 + kill, 10 + random.below(120));
    await stack.cosmos?.setFaults(farDatabase);
    let ended = false;
    const synced = tenant
      .sync()
      .catch((error: unknown) => {
        if (error instanceof TypeError) return null;
        throw error;
      })
      .finally(() => {
        ended = true;
      });
    await delay(50 + random.below(1000));
    if (!ended) met++;
    await stack.host.kill();
    if (met > 2 && lostMessages === 0) lostMessages = await emptyQueue();
    await stack.host.running();
    // The request that asked for the run may have died with the host; then nobody has asked.
    if (!(await synced)) await tenant.sync();
    await stack.cosmos?.setFaults(nearDatabase);
    expect(await tenant.compare(), `after kill ${kill}`).toEqual({ tenant: nothing, feed: nothing });
  }
  expect(met, "kills that met a run").toBeGreaterThan(kills / 2);
  expect(lostMessages).toBeGreaterThan(0);
  const { witness } = await readPicture(tenant.product, `/connections/${tenant.connectionId}`);
  expect(await faultInChain(stack.cosmos!, tenant.connectionId, witness)).toBeNull();
});
