/** Puts the day's anchor into the vault. Looks each hour, so that a day on which the vault did not answer has one all the same. */
import { app, type TimerHandler } from "@azure/functions";
import type { UseCases } from "../composition.ts";
import { onTick } from "./edge/trigger.ts";

const anchorLogs = (cases: () => Pick<UseCases, "writeAnchor">): TimerHandler =>
  onTick("audit-anchor", async () => {
    const connections = await cases().writeAnchor();
    return connections === null ? { anchor: "there" } : { anchor: "written", connections };
  });

const fivePastEachHour = "0 5 * * * *";

export const registerAnchor = (cases: () => UseCases): void =>
  app.timer("audit-anchor", { schedule: fivePastEachHour, handler: anchorLogs(cases) });
