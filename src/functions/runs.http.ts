/** Runs: ask for one, watch them. */
import type { Handlers } from "./register.ts";

export const runs: Handlers<"runs.request" | "runs.list" | "runs.read"> = {
  "runs.request": ({ caller, params, body }, cases) => cases.requestRun(caller, params.connection, body),
  "runs.list": ({ caller, params, page }, cases) => cases.listRuns(caller, params.connection, page),
  "runs.read": ({ caller, params }, cases) => cases.readRun(caller, params.connection, params.run),
};
