/** Replaces keys that are old, ends what was begun, and goes on where all keys of a connection are replaced. */
import { app, type TimerHandler } from "@azure/functions";
import type { UseCases } from "../composition.ts";
import { onTick } from "./edge/trigger.ts";

export const careForKeys = (cases: () => Pick<UseCases, "careForKeys">): TimerHandler =>
  onTick("key-care", async () => {
    const { problem, platformMade, ...counts } = await cases().careForKeys();
    return {
      ...counts,
      ...(platformMade === null ? {} : { platformMade }),
      ...(problem === null ? {} : { alarm: problem }),
    };
  });

const eachFiveMinutes = "30 */5 * * * *";

export const registerKeyCare = (cases: () => UseCases): void =>
  app.timer("key-care", { schedule: eachFiveMinutes, handler: careForKeys(cases) });
