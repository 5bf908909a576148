/** Finds what is due, once a minute. It starts, resumes and repairs every sync, also when the queue has lost its messages. */
import { app, type TimerHandler } from "@azure/functions";
import type { UseCases } from "../composition.ts";
import { onTick } from "./edge/trigger.ts";

export const wakeConnections = (cases: () => Pick<UseCases, "wake">): TimerHandler =>
  onTick("directory-sync-wake", async () => ({ due: await cases().wake() }));

export const registerWake = (cases: () => UseCases, schedule: string): void =>
  app.timer("directory-sync-wake", { schedule, handler: wakeConnections(cases) });
