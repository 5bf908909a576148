/** Tells the operator each day how long the certificates of our app registrations are still valid; as an error when one runs out. */
import { app, type TimerHandler } from "@azure/functions";
import type { UseCases } from "../composition.ts";
import { onTick } from "./edge/trigger.ts";

export const watchCertificates = (cases: () => Pick<UseCases, "certificateStates">): TimerHandler =>
  onTick("certificate-watch", async () => {
    const states = await cases().certificateStates();
    const worst = states.find(({ state }) => state === "red") ?? states.find(({ state }) => state === "yellow");
    return {
      certificates: states.length,
      ...(worst ? { alarm: worst.state, tiers: worst.tiers.join(" "), daysLeft: worst.daysLeft ?? "unreadable" } : {}),
    };
  });

const eachMorning = "0 10 6 * * *";

export const registerCertificateWatch = (cases: () => UseCases): void =>
  app.timer("certificate-watch", { schedule: eachMorning, handler: watchCertificates(cases) });
