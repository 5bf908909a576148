/** Runs of a connection. */
import { z } from "zod";
import { PlanPage } from "../../core/views/plan.ts";
import { planKinds, planOperations } from "../../core/views/plan-items.ts";
import { ApprovePlan, RequestRun, RunView } from "../../core/views/runs.ts";
import { listOf } from "../answers.ts";
import type { Route } from "../route.ts";

import { limit, one, Paged } from "./parts.ts";

export const runRoutes = {
  "runs.request": {
    method: "POST",
    path: `${one}/runs`,
    summary: "Asks for a run now; a dry run ends when its plan has been weighed.",
    permission: "integration:setup",
    personal: false,
    body: RequestRun,
    status: 202,
    location: `${one}/runs/{id}`,
    answer: RunView,
  },
  "runs.approve": {
    method: "POST",
    path: `${one}/runs/{run}/approve`,
    summary: "Lets the plan with this hash go on that the guard has stopped.",
    permission: "integration:approve",
    person: true,
    personal: false,
    body: ApprovePlan,
    status: 202,
    answer: RunView,
  },
  "runs.cancel": {
    method: "POST",
    path: `${one}/runs/{run}/cancel`,
    summary: "Ends a run that has not ended, or rejects a plan that waits; what was applied stays.",
    permission: "integration:setup",
    personal: false,
    status: 200,
    answer: RunView,
  },
  "runs.mail": {
    method: "POST",
    path: `${one}/runs/{run}/mail`,
    summary: "Sends the mail of a dry run again that has not gone out.",
    permission: "integration:setup",
    personal: false,
    status: 202,
    answer: RunView,
  },
  "runs.list": {
    method: "GET",
    path: `${one}/runs`,
    summary: "Runs, newest first.",
    permission: "integration:read",
    personal: false,
    query: Paged,
    paged: true,
    status: 200,
    answer: listOf(RunView),
  },
  "runs.read": {
    method: "GET",
    path: `${one}/runs/{run}`,
    summary: "One run: phase, counts, outcome.",
    permission: "integration:read",
    personal: false,
    status: 200,
    answer: RunView,
  },
  "runs.plan": {
    method: "GET",
    path: `${one}/runs/{run}/plan`,
    summary:
      "What the plan of a dry run, or of a run that waits, would do. People who are not stored only with `directory:read-all`; with `kind=people&op=create` they are read live.",
    permission: "directory:read",
    cost: "live",
    personal: true,
    namesFound: true,
    query: z.strictObject({
      limit,
      /** Holds a link of Microsoft Graph while people are read live. */
      cursor: z.string().min(1).max(6000).optional(),
      kind: z.enum(planKinds).optional(),
      op: z.enum(planOperations).optional(),
    }),
    paged: true,
    status: 200,
    answer: PlanPage,
  },
} as const satisfies Record<string, Route>;
