/** Runs: ask for one, watch it, end it. */
import type { Handlers } from "./register.ts";

export const runs: Handlers<
  "runs.request" | "runs.list" | "runs.read" | "runs.plan" | "runs.approve" | "runs.cancel" | "runs.mail"
> = {
  "runs.request": ({ caller, params, body }, cases) => cases.requestRun(caller, params.connection, body),
  "runs.list": ({ caller, params, page }, cases) => cases.listRuns(caller, params.connection, page),
  "runs.read": ({ caller, params }, cases) => cases.readRun(caller, params.connection, params.run),
  "runs.plan": ({ caller, params, page, query }, cases) =>
    cases.readPlan(caller, params.connection, params.run, { ...page, kind: query.kind, op: query.op }),
  "runs.approve": ({ caller, params, body }, cases) => cases.approveRun(caller, params.connection, params.run, body),
  "runs.cancel": ({ caller, params }, cases) => cases.cancelRun(caller, params.connection, params.run),
  "runs.mail": ({ caller, params }, cases) => cases.resendMail(caller, params.connection, params.run),
};
