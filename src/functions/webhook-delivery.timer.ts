/** Finds the connections of which an endpoint has not heard everything, once a minute: lost hints, ends of back-offs. */
import { app, type TimerHandler } from "@azure/functions";
import type { UseCases } from "../composition.ts";
import { onTick } from "./edge/trigger.ts";

const wakeWebhooks = (cases: () => Pick<UseCases, "wakeDeliveries">): TimerHandler =>
  onTick("webhook-delivery-wake", async () => ({ due: await cases().wakeDeliveries() }));

export const registerWebhookWake = (cases: () => UseCases, schedule: string): void =>
  app.timer("webhook-delivery-wake", { schedule, handler: wakeWebhooks(cases) });
