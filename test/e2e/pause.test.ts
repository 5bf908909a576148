/** Off is off when the answer is there: pausing in each phase of a run, the schedule switched off, another interval. */
import { setTimeout as delay } from "node:timers/promises";
import { QueueServiceClient } from "@azure/storage-queue";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Settings } from "../../src/core/connections/settings.ts";
import { type HintMessage, syncQueue } from "../../src/core/jobs.ts";
import type { RunPhase } from "../../src/core/store/documents.ts";
import { difference, expectedPicture, readPicture } from "../../src/local/demo/picture.ts";
import {
  askForRun,
  type Caller,
  callerOf,
  connect,
  expectStatus,
  readRun,
  runNow,
  runsOf,
  settled,
  until,
} from "../support/api.ts";
import { nothing, productOf, startTestStack, type TestStack } from "../support/stack.ts";
import { changedBetween, type StoredFields, storedOf } from "../support/stored.ts";
import { documentsIn } from "../support/traces.ts";

/** In which anything that still goes on would show: the timer looks each second, a lease lasts two. */
const severalPeriodsMs = 4000;

let stack: TestStack;
beforeAll(async () => {
  stack = await startTestStack({ seed: 16 });
});
afterAll(() => stack.stop());

interface Watched {
  call: Caller;
  workspace: string;
  tid: string;
  /** Of the connection. */
  id: string;
}

interface TenantOptions {
  users: number;
  seed: number;
  slowPagesMs?: number;
}

/** A workspace with a tenant of its own, whose first run has been asked for. */
const connected = async ({ users, seed, slowPagesMs = 0 }: TenantOptions): Promise<Watched> => {
  const spec = { users, groups: 30, seed, domain: `t${seed}.example` };
  const { tid, accounts } = await stack.simulator.command("create-tenant", spec);
  await slowPages(tid, slowPagesMs);
  const workspace = `w${seed}`;
  const call = callerOf(stack, { workspace });
  return { workspace, call, tid, id: await connect(call, `Tenant ${seed}`, accounts[0]?.objectId ?? "") };
};

const slowPages = async (tid: string, milliseconds: number): Promise<void> => {
  const add = [{ trouble: { kind: "slow", milliseconds }, tid, path: "^/users/delta", times: 1000 } as const];
  await stack.simulator.command("switches", { tid, traits: { pageSize: milliseconds > 0 ? 25 : null } });
  await stack.simulator.command("faults", { clear: true, add: milliseconds > 0 ? add : [] });
};

const alter = ({ tid }: Watched, seed: number, count: number) =>
  stack.simulator.command("random-changes", { tid, seed, count });

/** Everything but the request itself is done at once: a run may be over by the time the settings have been read. */
const preparedChange = async ({ call, id }: Watched, change: Partial<Settings>): Promise<() => Promise<void>> => {
  const path = `/connections/${id}/settings`;
  const { body, headers } = await expectStatus(200, call("GET", path));
  const { version: _v, etag: _e, ...now } = body;
  const request = { body: { ...now, ...change }, headers: { "if-match": headers.get("etag") ?? "" } };
  return async () => {
    await expectStatus(200, call("PUT", path, request));
  };
};
const put = async (watched: Watched, change: Partial<Settings>): Promise<void> =>
  (await preparedChange(watched, change))();

const storedNow = ({ id }: Watched) => storedOf(stack, id);

const stagedOf = async (runId: string): Promise<number> =>
  documentsIn(await stack.cosmos!.dump()).filter(
    ({ container, partitionKey }) => container === "work" && partitionKey === runId,
  ).length;

const peopleIn = (documents: ReadonlyMap<string, StoredFields>): number =>
  [...documents.keys()].filter((id) => id.startsWith("u:")).length;

interface RunOfHead {
  id: string;
  phase: RunPhase;
}

const runUnderWay = async (watched: Watched): Promise<RunOfHead | null> =>
  ((await storedNow(watched)).get("head")?.run ?? null) as RunOfHead | null;

const metIn = (watched: Watched, phase: RunPhase): Promise<RunOfHead> =>
  until(`a run that is ${phase}`, async () => {
    const run = await runUnderWay(watched);
    return run?.phase === phase ? run : null;
  });

/** What tells whether the directory and its place in Microsoft's feeds are as they were. */
const placeOf = (documents: ReadonlyMap<string, StoredFields>) => {
  const head = documents.get("head");
  return ["counters", "links", "lastRound", "epoch"].map((field) => head?.[field]);
};

const graphRequestsSince = async ({ tid }: Watched, mark: number): Promise<number> =>
  (await stack.simulator.command("requests", { since: mark })).requests.filter((request) => request.tid === tid).length;
const graphMark = async (): Promise<number> => (await stack.simulator.command("requests", {})).mark;

const hint = async ({ id }: Watched): Promise<void> => {
  const message: HintMessage = { hint: { connectionId: id, receivedAt: Date.now() } };
  await QueueServiceClient.fromConnectionString(stack.queues!.connectionString)
    .getQueueClient(syncQueue)
    .sendMessage(Buffer.from(JSON.stringify(message)).toString("base64"));
};

const equalsTenant = async ({ workspace, tid, id }: Watched) => {
  await stack.simulator.command("observe", { tid });
  const { picture } = await readPicture(productOf(stack, workspace), `/connections/${id}`);
  return difference(expectedPicture(await stack.simulator.command("oracle", { tid })), picture);
};

/** Nothing has changed but that the run has ended: head, the run's own document, and one entry of the log. */
const expectOnlyTheEndOf = (
  runId: string,
  before: ReadonlyMap<string, StoredFields>,
  after: ReadonlyMap<string, StoredFields>,
): void => {
  const others = changedBetween(before, after).filter((id) => id !== "head" && id !== `r:${runId}`);
  const bodies = others.map((id) => after.get(id)?.body);
  const entries = bodies.flatMap((body) => (typeof body === "string" ? (JSON.parse(body) as object[]) : []));
  // It may have been recorded before the first look.
  expect(others.length).toBeLessThanOrEqual(1);
  for (const id of others) expect(id).toMatch(/^l:/);
  for (const entry of entries) expect(entry).toMatchObject({ kind: "run", op: "ended", object: runId });
  expect(placeOf(after)).toEqual(placeOf(before));
};

/** Pauses a run that has been met, and looks at the stored documents the moment the answer is there. */
const pauseAndWatch = async (watched: Watched, meet: () => Promise<RunOfHead>): Promise<Map<string, StoredFields>> => {
  const pause = await preparedChange(watched, { paused: true });
  const { id: runId } = await meet();
  await pause();
  const paused = await storedNow(watched);
  await until("the end of the run", async () => ((await runUnderWay(watched)) === null ? true : null));
  await until("the end of what was staged", async () => ((await stagedOf(runId)) === 0 ? true : null));
  const ended = await storedNow(watched);
  expectOnlyTheEndOf(runId, paused, ended);
  expect(await readRun(watched.call, watched.id, runId)).toMatchObject({ phase: "ended", outcome: "cancelled" });

  const mark = await graphMark();
  await hint(watched);
  await delay(severalPeriodsMs);
  const later = await storedNow(watched);
  expect(changedBetween(ended, later)).toEqual([]);
  expect(await graphRequestsSince(watched, mark)).toBe(0);
  expect(later.get("head")).toMatchObject({ run: null, requested: null, owner: null, wakeAt: null, dueAt: null });
  return paused;
};

/** A run that the schedule has started after `known` ends well and leaves what the tenant holds. */
const catchesUp = async (watched: Watched, known: string): Promise<void> => {
  const run = await until(`the run after ${known}`, async () => {
    const newest = await settled(watched.call, watched.id);
    return newest.id === known ? null : newest;
  });
  expect(run).toMatchObject({ cause: "schedule", outcome: "done" });
  expect(await equalsTenant(watched)).toEqual(nothing);
};

const unpauseAndCatchUp = async (watched: Watched): Promise<void> => {
  const [newest] = await runsOf(watched.call, watched.id);
  await put(watched, { paused: false });
  await catchesUp(watched, newest?.id ?? "");
};

describe("a pause", { timeout: 120_000 }, () => {
  let watched: Watched;

  it("ends a run that is reading", async () => {
    watched = await connected({ users: 300, seed: 61, slowPagesMs: 400 });
    const paused = await pauseAndWatch(watched, async () => {
      const run = await metIn(watched, "reading");
      return until("staged parts", async () => ((await stagedOf(run.id)) > 0 ? run : null));
    });
    expect(peopleIn(paused)).toBe(0);
    await slowPages(watched.tid, 0);
    await unpauseAndCatchUp(watched);
  });

  it("lies over a run whose worker was killed before", async () => {
    await slowPages(watched.tid, 400);
    await alter(watched, 7, 60);
    const runId = await askForRun(watched.call, watched.id, "full");
    await metIn(watched, "reading");
    await stack.host.kill();
    await stack.host.running();
    await put(watched, { paused: true });
    const paused = await storedNow(watched);
    await delay(severalPeriodsMs);
    const later = await storedNow(watched);
    expectOnlyTheEndOf(runId, paused, later);
    await slowPages(watched.tid, 0);
    await unpauseAndCatchUp(watched);
    expect(await readRun(watched.call, watched.id, runId)).toMatchObject({ phase: "ended", outcome: "cancelled" });
    expect(await stagedOf(runId)).toBe(0);
  });

  it("ends a run that is applying, and what it has applied by then stays", async () => {
    // A database as far away as a slow one: the run lasts long enough to be met.
    await stack.cosmos!.setFaults({ latencyMs: 150 });
    const applying = await connected({ users: 1500, seed: 62 });
    const paused = await pauseAndWatch(applying, () => metIn(applying, "applying"));
    await stack.cosmos!.setFaults({ latencyMs: 0 });
    await unpauseAndCatchUp(applying);
    expect(peopleIn(paused)).toBeLessThan(peopleIn(await storedNow(applying)));
  });
});

it("another interval makes a run under way void, which begins anew at once and not after the interval", {
  timeout: 60_000,
}, async () => {
  // So many pages that the run is still at it when the settings arrive.
  const watched = await connected({ users: 1200, seed: 64, slowPagesMs: 500 });
  const { id } = await metIn(watched, "reading");
  await put(watched, { intervalMinutes: 60 });
  await slowPages(watched.tid, 0);
  await catchesUp(watched, id);
  expect(await readRun(watched.call, watched.id, id)).toMatchObject({ outcome: "cancelled" });
});

describe("a schedule", { timeout: 60_000 }, () => {
  let watched: Watched;
  const nextSyncAt = async (): Promise<number | null> => {
    const { body } = await expectStatus(200, watched.call("GET", `/connections/${watched.id}`));
    return typeof body.nextSyncAt === "string" ? Date.parse(body.nextSyncAt) : null;
  };

  beforeAll(async () => {
    watched = await connected({ users: 30, seed: 63 });
    await settled(watched.call, watched.id);
    expect(await equalsTenant(watched)).toEqual(nothing);
  });

  it.each([5, 60, 1440])("follows an interval of %i minutes from now on", async (intervalMinutes) => {
    const before = Date.now();
    await put(watched, { intervalMinutes });
    const next = (await nextSyncAt()) ?? 0;
    // Spread over a twentieth, so that connections which were made together do not all come at once.
    expect(next).toBeGreaterThanOrEqual(before + intervalMinutes * 57_000);
    expect(next).toBeLessThanOrEqual(Date.now() + intervalMinutes * 60_000);
  });

  it("that is off starts nothing, whatever wakes the worker, and leaves runs to be asked for", async () => {
    await put(watched, { paused: true });
    expect(await nextSyncAt()).toBeNull();
    // With the schedule on, the end of a pause starts a run at once.
    await put(watched, { automatic: false, paused: false });
    expect(await nextSyncAt()).toBeNull();
    await alter(watched, 8, 10);
    const [before, mark] = [await storedNow(watched), await graphMark()];
    await hint(watched);
    await delay(severalPeriodsMs);
    const after = await storedNow(watched);
    expect(changedBetween(before, after)).toEqual([]);
    expect(await graphRequestsSince(watched, mark)).toBe(0);

    expect(await runNow(watched.call, watched.id)).toMatchObject({ cause: "manual", outcome: "done" });
    expect(await equalsTenant(watched)).toEqual(nothing);
    expect(await nextSyncAt()).toBeNull();
  });

  it("that is on again comes back after its interval, or at once when what ends is a pause", async () => {
    await put(watched, { automatic: true, intervalMinutes: 5 });
    expect(await nextSyncAt()).toBeGreaterThan(Date.now());
    await put(watched, { paused: true });
    await alter(watched, 9, 10);
    await unpauseAndCatchUp(watched);
    expect(await nextSyncAt()).toBeGreaterThan(Date.now());
  });
});
