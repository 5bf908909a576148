/**
 * The smallest heap limit under which a directory can be imported, and whether ten times the people fit under little more. The
 * limit is `--max-old-space-size`; buffers outside the heap, among them the set of objects met, are not in it and are reported
 * beside it.
 */
import { startChild } from "../src/local/child.ts";
import { openApp } from "./app.ts";
import type { Imported, ImportOrder } from "./memory-child.ts";
import { type Services, startServices } from "./services.ts";
import { createTenant, ordinary, type TenantSize } from "./tenant.ts";

export interface Attempt extends Imported {
  heapLimitMb: number;
}

export interface MemoryResult {
  /** The smallest limit that was enough, found within `precisionMb`. */
  small: Attempt;
  precisionMb: number;
  /** Ten times the people: the first of the factors over `small` that was enough; null = none was. */
  large: { users: number; factor: number | null; attempt: Attempt | null };
  /** One group that holds everybody. */
  group: { members: number; factor: number | null; attempt: Attempt | null };
}

export interface MemorySizes {
  users: number;
  times: number;
  groupMembers: number;
  fromMb: number;
  toMb: number;
  precisionMb: number;
}

const usualSizes: MemorySizes = {
  users: 20_000,
  times: 10,
  groupMembers: 100_000,
  fromMb: 40,
  toMb: 88,
  precisionMb: 4,
};

const factors = [1.3, 1.6, 2, 3, 4];
/** Milliseconds of one import: a heap that is almost too small is slow beyond use. */
const patience = { small: 300_000, large: 3_600_000 };

export const benchMemory = async (sizes: MemorySizes = usualSizes): Promise<MemoryResult> => {
  const { precisionMb } = sizes;
  const small = await withTenant(ordinary(sizes.users), patience.small, (tryUnder) => smallest(tryUnder, sizes));
  const large = ordinary(sizes.users * sizes.times);
  const group: TenantSize = {
    users: sizes.groupMembers,
    groups: 1,
    memberships: sizes.groupMembers,
    largestGroup: sizes.groupMembers,
  };
  return {
    small,
    precisionMb,
    large: { users: large.users, ...(await firstFactor(small, large)) },
    group: { members: group.largestGroup, ...(await firstFactor(small, group)) },
  };
};

type TryUnder = (heapLimitMb: number) => Promise<Attempt | null>;

const withTenant = async <T>(
  size: TenantSize,
  maxMilliseconds: number,
  task: (tryUnder: TryUnder) => Promise<T>,
): Promise<T> => {
  const services = await startServices();
  const app = openApp(services.addresses);
  try {
    const { tid } = await createTenant(services, app, size);
    return await task((heapLimitMb) => importUnder(services, tid, heapLimitMb, maxMilliseconds));
  } finally {
    app.close();
    await services.stop();
  }
};

/** Null when the process died or took too long. */
const importUnder = async (
  services: Services,
  tid: string,
  heapLimitMb: number,
  maxMilliseconds: number,
): Promise<Attempt | null> => {
  const order: ImportOrder = { addresses: services.addresses, tid, maxMilliseconds };
  const started = startChild<ImportOrder, Imported>(new URL("./memory-child.ts", import.meta.url), order, {
    env: { NODE_EXTRA_CA_CERTS: services.caPath },
    execArgv: [`--max-old-space-size=${heapLimitMb}`],
    onOutput: () => undefined,
  });
  const child = await started.catch((error: unknown) => {
    if (error instanceof Error && /before it was ready/.test(error.message)) return null;
    throw error;
  });
  if (!child) return null;
  await child.stop();
  return { heapLimitMb, ...child.ready };
};

/** By halves; what is below `fromMb` is not looked at. */
const smallest = async (tryUnder: TryUnder, { fromMb, toMb, precisionMb }: MemorySizes): Promise<Attempt> => {
  let enough = await tryUnder(toMb);
  if (!enough) throw new Error(`${toMb} MB are not enough.`);
  for (let tooLittle = fromMb; enough.heapLimitMb - tooLittle > precisionMb; ) {
    const between = Math.round((enough.heapLimitMb + tooLittle) / 2);
    const attempt: Attempt | null = await tryUnder(between);
    if (attempt) enough = attempt;
    else tooLittle = between;
  }
  return enough;
};

const firstFactor = async (
  { heapLimitMb }: Attempt,
  size: TenantSize,
): Promise<{ factor: number | null; attempt: Attempt | null }> => {
  for (const factor of factors) {
    // A store of its own for each: what a failed attempt has left is no part of the next one.
    const attempt = await withTenant(size, patience.large, (tryUnder) => tryUnder(Math.floor(heapLimitMb * factor)));
    if (attempt) return { factor, attempt };
  }
  return { factor: null, attempt: null };
};
