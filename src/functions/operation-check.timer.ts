/** Finds out what became of operations on Microsoft 365 whose outcome nobody has recorded. */
import { app, type TimerHandler } from "@azure/functions";
import type { UseCases } from "../composition.ts";
import { onTick } from "./edge/trigger.ts";

const checkOperations = (cases: () => Pick<UseCases, "resolveOperations">): TimerHandler =>
  onTick("operation-check", async () => ({ ...(await cases().resolveOperations()) }));

const everyFiveMinutes = "30 */5 * * * *";

export const registerOperationCheck = (cases: () => UseCases): void =>
  app.timer("operation-check", { schedule: everyFiveMinutes, handler: checkOperations(cases) });
