/**
 * A product's back end and its customer's administrator, in fast forward: connect a tenant, read all of it, let life happen in
 * it, read what changed, and compare with what a correct sync must hold. It speaks to the API over HTTP like any product.
 */
import { setTimeout as delay } from "node:timers/promises";
import { permissions } from "../../core/context.ts";
import { RunView } from "../../core/views/runs.ts";
import type { SimulatorProcess } from "../simulator/process.ts";
import type { Stack } from "../stack.ts";
import { followConsent } from "./administrator.ts";
import { beginSync, Connection, completeConsent, createConnection, finishSetup, startConsent } from "./connecting.ts";
import type { Console } from "./console.ts";
import { admitEverybody } from "./everybody.ts";
import {
  activePeopleOf,
  difference,
  expectedPicture,
  membershipsOf,
  type Picture,
  readPicture,
  replayChanges,
} from "./picture.ts";
import { listOf, openProduct, type Product } from "./product.ts";
import type { ReturnPage } from "./return-page.ts";
import { nextRun, type Run, type RunWatch, runIds, syncNow } from "./runs.ts";
import { faultInChain } from "./stored-chain.ts";
import { type Check, type Summary, summaryOf } from "./summary.ts";

export interface DemoOptions {
  users: number;
  groups: number;
  seed: number;
}

export const demoWorkspace = "demo";
const subject = "demonstration";
const domain = "contoso.example";
const changesBetween = 60;

/** The tenant that is connected; null: a real one, which Microsoft's administrator connects in a browser. */
type Tenant = { tid: string; administrator: string; objects: number } | null;

interface Scene {
  stack: Stack;
  product: Product;
  page: ReturnPage;
  console: Console;
  options: DemoOptions;
}

const demoProduct = (stack: Stack): Product =>
  openProduct(stack.url, () =>
    stack.tokenFor({ workspace: demoWorkspace, subject, name: "Demonstration", permissions: [...permissions] }),
  );

export const runDemo = async (
  stack: Stack,
  page: ReturnPage,
  options: DemoOptions,
  console: Console,
): Promise<Summary> => {
  const scene: Scene = { stack, product: demoProduct(stack), page, console, options };
  const tenant = stack.simulator ? await simulatedTenant(scene, stack.simulator) : null;
  const found = await connectionOf(scene.product, tenant ? "Simulated tenant" : "Connected tenant");
  const resumed = found.state !== "draft" && found.state !== "proven";
  const watch: RunWatch = {
    product: scene.product,
    path: `/connections/${found.id}`,
    console,
    expected: tenant?.objects ?? 0,
  };
  // How much has changed nobody knows.
  const delta: RunWatch = { ...watch, expected: 0 };
  const earlier = new Set(await runIds(watch));
  let firstSync: Run | null = null;
  if (resumed) {
    console.line(`The connection of an earlier start is there (${found.id}); it goes on with a delta.`);
    // It may have been stopped right after the approval.
    await finishSetup(scene.product, found.id);
    const caughtUp = await syncNow(delta, "Catching up");
    // It was stopped before its first sync had ended.
    if (caughtUp.mode === "full") firstSync = caughtUp;
  } else {
    await connect(scene, found, tenant);
    firstSync = await nextRun(watch, "First sync", earlier);
  }
  if (tenant) await stack.simulator?.command("observe", { tid: tenant.tid });
  const changesMade = tenant ? await liveOn(scene, tenant.tid) : 0;
  const second = await syncNow(delta, "Delta");
  if (tenant) await stack.simulator?.command("observe", { tid: tenant.tid });

  console.line("Comparing what the API shows with the tenant and with the change log.");
  const check = await compare(scene, found.id, tenant);
  const { tid } = await scene.product.get(watch.path, Connection);
  return {
    ok: check.equalsTenant !== false && check.replayEqual && check.chainVerified !== false,
    connectionId: found.id,
    tid,
    resumed,
    firstSync: firstSync && summaryOf(firstSync),
    delta: summaryOf(second),
    changesMade,
    check,
    url: stack.url,
    tlsUrl: stack.tlsUrl,
  };
};

const simulatedTenant = async ({ console, options }: Scene, { command }: SimulatorProcess): Promise<Tenant> => {
  const known = (await command("list", {})).tenants.find(({ verifiedDomains }) => verifiedDomains.includes(domain));
  if (known) {
    console.line(`The simulated tenant ${domain} is there: ${known.users} users, ${known.groups} groups.`);
    return { tid: known.tid, administrator: administratorOf(known), objects: known.users + known.groups };
  }
  const made = await command("create-tenant", { ...options, domain });
  console.line(`A simulated tenant is made: ${domain}, ${options.users} users, ${options.groups} groups.`);
  return { tid: made.tid, administrator: administratorOf(made), objects: options.users + options.groups };
};

/** The first account of a generated tenant is its Global Administrator. */
const administratorOf = ({ accounts }: { accounts: { objectId: string }[] }): string => {
  const [first] = accounts;
  if (!first) throw new Error("The simulated tenant has no administrator.");
  return first.objectId;
};

const connectionOf = async (product: Product, name: string): Promise<Connection> => {
  const all = await product.list("/connections?limit=200", Connection);
  const known = all.find(({ displayName, state }) => displayName === name && state !== "closing");
  if (known) return known;
  const made = await createConnection(product, name);
  await admitEverybody(product, made.id);
  return made;
};

const connect = async ({ product, page, console }: Scene, { id }: Connection, tenant: Tenant): Promise<void> => {
  const connectUrl = await startConsent(product, id, page.returnUrl);
  if (tenant) {
    const back = await followConsent(connectUrl, { account: tenant.administrator });
    await completeConsent(product, id, back.searchParams);
  } else {
    const returning = page.nextReturn();
    console.line("Open this page as an administrator of the organisation, within ten minutes:");
    console.line(`  ${connectUrl}`);
    await completeConsent(product, id, await returning);
  }
  console.line("The administrator has approved, and the product has confirmed the connection.");
  await beginSync(product, id);
};

/** Other changes at each start: the number of those before seeds the next. */
const liveOn = async ({ stack, console, options }: Scene, tid: string): Promise<number> => {
  const simulator = stack.simulator;
  if (!simulator) return 0;
  const { tenants } = await simulator.command("list", {});
  const sequence = tenants.find((tenant) => tenant.tid === tid)?.sequence ?? 0;
  const { mutations } = await simulator.command("random-changes", {
    tid,
    seed: options.seed + sequence,
    count: changesBetween,
  });
  console.line(`${changesBetween} things happen in the tenant (${mutations.length} changes).`);
  return mutations.length;
};

const lookEveryMs = 2000;

/**
 * Shows the oracle the tenant after each run that somebody asks for later: what it was not shown it cannot expect at the next
 * start. Ends with the signal.
 */
export const followRuns = async (stack: Stack, { connectionId, tid }: Summary, signal: AbortSignal): Promise<void> => {
  const { simulator } = stack;
  if (!simulator || tid === null) return;
  const product = demoProduct(stack);
  let newest = "";
  while (!signal.aborted) {
    try {
      const { items } = await product.get(`/connections/${connectionId}/runs?limit=1`, listOf(RunView));
      const [run] = items;
      if (run?.phase === "ended" && run.id !== newest) {
        await simulator.command("observe", { tid });
        newest = run.id;
      }
    } catch {
      // The host may be starting again; the next look finds it.
    }
    await delay(lookEveryMs, undefined, { signal }).catch(() => {});
  }
};

const maxDifferences = 5;
const maxLineLength = 240;

const compare = async ({ stack, product }: Scene, connectionId: string, tenant: Tenant): Promise<Check> => {
  const path = `/connections/${connectionId}`;
  const shown = await readPicture(product, path);
  const replayed = await replayChanges(product, path);
  const differences: string[] = [];
  const isSame = (what: string, expected: Picture): boolean => {
    const { missing, unexpected } = difference(expected, shown.picture);
    const lines = [
      ...missing.map((line) => `only in ${what}: ${line}`),
      ...unexpected.map((line) => `not in ${what}: ${line}`),
    ];
    differences.push(...lines.slice(0, maxDifferences).map((line) => line.slice(0, maxLineLength)));
    return lines.length === 0;
  };
  const oracle = tenant && (await stack.simulator?.command("oracle", { tid: tenant.tid }));
  const equalsTenant = oracle ? isSame("the tenant", expectedPicture(oracle)) : null;
  const replayEqual = isSame("the change log", replayed.picture);
  const { witness } = replayed;
  const { endpoint, database, key } = stack.config.cosmos;
  const stored = key === undefined ? null : await faultInChain({ endpoint, database, key }, connectionId, witness);
  const isForked = witness.sequence === shown.witness.sequence && witness.chain !== shown.witness.chain;
  const fault = isForked ? "Snapshot and change feed name different chains." : stored;
  if (fault !== null) differences.push(fault);
  return {
    equalsTenant,
    replayEqual,
    chainVerified: fault === null && key === undefined ? null : fault === null,
    sequence: witness.sequence,
    chain: witness.chain,
    people: activePeopleOf(shown.picture),
    groups: shown.picture.groups.size,
    memberships: membershipsOf(shown.picture),
    differences,
  };
};
