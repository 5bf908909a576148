/** The embedded stack for tests: in memory, with a lease and a wake timer of seconds, and tenants connected in one call. */
import { permissions } from "../../src/core/context.ts";
import { followConsent } from "../../src/local/demo/administrator.ts";
import { beginSync, completeConsent, createConnection, startConsent } from "../../src/local/demo/connecting.ts";
import { admitEverybody, everybody } from "../../src/local/demo/everybody.ts";
import {
  type Difference,
  difference,
  expectedPicture,
  readPicture,
  replayChanges,
} from "../../src/local/demo/picture.ts";
import { openProduct, type Product } from "../../src/local/demo/product.ts";
import { nextRun, type Run, type RunWatch, syncNow } from "../../src/local/demo/runs.ts";
import type { SimulatorProcess } from "../../src/local/simulator/process.ts";
import { type Stack, type StackOptions, startStack } from "../../src/local/stack.ts";
import { chainFaults } from "./chain.ts";
import { recordFaults } from "./record.ts";

export interface TestStack extends Stack {
  simulator: SimulatorProcess;
  /** What the parts said, for a test that failed. */
  lines: string[];
}

/** Nobody listens there: the browser's last address is read and not opened. */
const returnUrl = "http://localhost:9/connected";

export const startTestStack = async (options: StackOptions = {}): Promise<TestStack> => {
  const lines: string[] = [];
  const stack = await startStack({
    leaseSeconds: 2,
    wakeSchedule: "* * * * * *",
    queueSettings: { maxPollingIntervalMs: 200, invisibilitySeconds: 2, visibilityTimeoutSeconds: 1 },
    returnOrigins: [new URL(returnUrl).origin],
    // A test that counts rounds decides itself what sets them off.
    notifications: false,
    onLog: (line) => lines.push(line),
    ...options,
  });
  if (!stack.simulator) throw new Error("The tests need the simulated Microsoft.");
  const { cosmos } = stack;
  let stopped = false;
  return {
    ...stack,
    simulator: stack.simulator,
    lines,
    stop: async () => {
      // Also of what an end-to-end test has not looked at.
      // A database that the test has ended itself has nothing to tell.
      const dump = cosmos && !stopped ? await cosmos.dump().catch(() => "") : "";
      stopped = true;
      await stack.stop();
      const faults = [...chainFaults(dump), ...recordFaults(dump)];
      if (faults.length > 0) throw new Error(`What is left in the database is not right: ${faults.join("; ")}`);
    },
  };
};

export const productOf = (stack: Stack, workspace: string, subject = "tester"): Product =>
  openProduct(stack.url, () => stack.tokenFor({ workspace, subject, permissions: [...permissions] }));

export interface ConnectedTenant {
  tid: string;
  connectionId: string;
  product: Product;
  /** The first run, which has been asked for. */
  first(): Promise<Run>;
  /** A delta from asking for it to its end; the oracle sees the tenant as it is then. */
  sync(): Promise<Run>;
  change(seed: number, count: number): Promise<void>;
  /** What the API shows against the oracle, and what the feed tells from zero against what the API shows. */
  compare(): Promise<{ tenant: Difference; feed: Difference }>;
}

export const connectTenant = async (
  stack: TestStack,
  { workspace = "w1", ...spec }: { users: number; groups: number; seed: number; workspace?: string },
): Promise<ConnectedTenant> => {
  const { command } = stack.simulator;
  const product = productOf(stack, workspace);
  const made = await command("create-tenant", { ...spec, domain: `t${spec.seed}.example` });
  const { tid } = made;
  const { id: connectionId } = await createConnection(product, `Tenant ${spec.seed}`);
  // Random life takes away more in a minute than a guard lets pass in a week.
  const offUntil = new Date(Date.now() + 6 * 86_400_000).toISOString();
  await admitEverybody(product, connectionId, { ...everybody.guard, offUntil });
  const connectUrl = await startConsent(product, connectionId, returnUrl);
  const back = await followConsent(connectUrl, { account: made.accounts[0]?.objectId ?? "" });
  await completeConsent(product, connectionId, back.searchParams);
  await beginSync(product, connectionId);

  const path = `/connections/${connectionId}`;
  const silent = { line: () => {}, progress: () => ({ update: () => {}, end: () => {} }) };
  const watch: RunWatch = { product, path, console: silent, expected: spec.users + spec.groups };
  const observed = async (run: Promise<Run>): Promise<Run> => {
    const ended = await run;
    await command("observe", { tid });
    return ended;
  };
  return {
    tid,
    connectionId,
    product,
    first: () => observed(nextRun(watch, "first", new Set())),
    sync: () => observed(syncNow(watch, "delta")),
    change: async (seed, count) => {
      await command("random-changes", { tid, seed, count });
    },
    compare: async () => {
      const { picture } = await readPicture(product, path);
      const { picture: told } = await replayChanges(product, path);
      const expected = expectedPicture(await command("oracle", { tid }));
      return { tenant: difference(expected, picture), feed: difference(picture, told) };
    },
  };
};

export const nothing: Difference = { missing: [], unexpected: [] };
