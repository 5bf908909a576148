/** Finds the subscriptions that are to be made, renewed or taken back, once a minute. */
import { app, type TimerHandler } from "@azure/functions";
import type { UseCases } from "../composition.ts";
import { onTick } from "./edge/trigger.ts";

export const wakeSubscriptions = (cases: () => Pick<UseCases, "wakeSubscriptions">): TimerHandler =>
  onTick("graph-notifications-wake", async () => ({ due: await cases().wakeSubscriptions() }));

export const registerSubscriptionWake = (cases: () => UseCases, schedule: string): void =>
  app.timer("graph-notifications-wake", { schedule, handler: wakeSubscriptions(cases) });
