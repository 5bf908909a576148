/** The host is killed while it weighs a plan, while the plan waits for somebody, and while it is applied. */
import { setTimeout as delay } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { z } from "zod";
import { Settings } from "../../src/core/connections/settings.ts";
import { RunView } from "../../src/core/views/runs.ts";
import type { Run } from "../../src/local/demo/runs.ts";
import { until } from "../support/api.ts";
import { type ConnectedTenant, connectTenant, nothing, startTestStack, type TestStack } from "../support/stack.ts";

let stack: TestStack;
let tenant: ConnectedTenant;
beforeAll(async () => {
  stack = await startTestStack({ seed: 22 });
  // More people than are weighed at once, so that there is a place in the middle of it.
  tenant = await connectTenant(stack, { users: 700, groups: 15, seed: 78 });
  await tenant.first();
});
afterAll(() => stack.stop());

const path = (rest = ""): string => `/connections/${tenant.connectionId}${rest}`;
const ask = (mode: "delta" | "full"): Promise<Run> => tenant.product.post(path("/runs"), { mode }, RunView);
const read = ({ id }: Run): Promise<Run> => tenant.product.get(path(`/runs/${id}`), RunView);
const met = async (run: Run, phase: Run["phase"]): Promise<void> => {
  await until(`a run that is ${phase}`, async () => {
    const now = (await read(run)).phase;
    if (now === "ended") throw new Error(`The run has ended and never was ${phase}.`);
    return now === phase ? now : null;
  });
};
const killed = async (): Promise<void> => {
  await stack.host.kill();
  await stack.host.running();
};
const ended = (run: Run): Promise<Run> =>
  until("the end of the run", async () => {
    const now = await read(run);
    return now.phase === "ended" ? now : null;
  });

/** People who manage nobody: for the sake of others nothing is asked about them. */
const purge = async (count: number): Promise<void> => {
  const { command } = stack.simulator;
  const { people } = await command("oracle", { tid: tenant.tid });
  const managers = new Set(Object.values(people).map(({ manager }) => manager));
  const gone = Object.keys(people)
    .filter((id) => people[id]?.state === "active" && !managers.has(id))
    .toSorted()
    .slice(-count);
  await command("mutate", {
    tid: tenant.tid,
    mutations: gone.flatMap((id) => [
      { op: "delete-user" as const, id },
      { op: "purge-user" as const, id },
    ]),
  });
};
const setGuard = async (guard: Partial<Settings["guard"]>): Promise<void> => {
  const {
    version: _v,
    etag,
    ...settings
  } = await tenant.product.get(path("/settings"), Settings.extend({ version: z.number(), etag: z.string() }));
  await tenant.product.put(
    path("/settings"),
    { ...settings, guard: { ...settings.guard, ...guard } },
    etag,
    z.object({}),
  );
};
const agrees = async (): Promise<void> => {
  await stack.simulator.command("observe", { tid: tenant.tid });
  expect(await tenant.compare()).toEqual({ tenant: nothing, feed: nothing });
};

describe("a host that is killed", { timeout: 300_000 }, () => {
  it("while it weighs, proves each absence again and takes nobody else away", async () => {
    await purge(60);
    const slow = {
      trouble: { kind: "slow", milliseconds: 1000 },
      path: "^/\\$batch",
      tid: tenant.tid,
      times: 100,
    } as const;
    await stack.simulator.command("faults", { add: [slow] });
    const run = await ask("full");
    await met(run, "weighing");
    await killed();
    await stack.simulator.command("faults", { clear: true });
    expect((await ended(run)).counts.peopleDeactivated).toBe(60);
    await agrees();
  });

  it("while a plan waits, lets it wait on, and applies the very plan", async () => {
    await setGuard({ share: 1, floor: 1, offUntil: null });
    await purge(30);
    const run = await ask("delta");
    await met(run, "waiting");
    await killed();
    await delay(3000);
    const { phase, planHash } = await read(run);
    expect(phase).toBe("waiting");
    await tenant.product.post(path(`/runs/${run.id}/approve`), { planHash }, RunView);
    await killed();
    expect(await ended(run)).toMatchObject({ outcome: "done", planHash, counts: { peopleDeactivated: 30 } });
    await agrees();
    await setGuard({ offUntil: new Date(Date.now() + 6 * 86_400_000).toISOString() });
  });

  it("while it applies, goes on from there", async () => {
    const { people } = await stack.simulator.command("oracle", { tid: tenant.tid });
    const active = Object.keys(people).filter((id) => people[id]?.state === "active");
    const mutations = active.map((id) => ({ op: "update-user" as const, id, set: { jobTitle: "Promoted" } }));
    await stack.simulator.command("mutate", { tid: tenant.tid, mutations });
    // A database as far away as a real one, and further: the plan takes several commits, each its time.
    await stack.cosmos?.setFaults({ latencyMs: 150 });
    const run = await ask("delta");
    await met(run, "applying");
    await killed();
    await stack.cosmos?.setFaults({ latencyMs: 0 });
    expect(await ended(run)).toMatchObject({ outcome: "done", failure: null });
    await agrees();
  });
});
