/** The setup, step by step, each step with the calls of this API that serve it. */
import type { z } from "zod";
import type { SetupView } from "../core/wizard/progress.ts";
import type { StepId } from "../core/wizard/texts.ts";
import type { SetupAnswer } from "./answers.ts";
import type { Handlers } from "./register.ts";
import type { Route } from "./route.ts";
import { type RouteName, routes } from "./routes.ts";

/** Beside `settings.change`, which saves every step that has fields. */
const callsOf: Record<StepId, readonly RouteName[]> = {
  introduction: ["connections.permissions", "consent.start", "connections.test"],
  automatic: [],
  "include-groups": [],
  "select-groups": ["groups.search"],
  "group-kinds": [],
  "group-mapping": ["groups.search", "product-groups.list"],
  blacklist: ["settings.blacklist", "settings.blacklist-replace", "settings.blacklist-upload"],
  "account-kinds": [],
  "one-by-one": ["people.search", "people.switch"],
  attributes: ["attributes.list"],
  leaving: ["runs.approve"],
  test: ["settings.impact", "runs.request", "runs.read", "runs.mail"],
  finish: ["settings.finish"],
};

export const wizard: Handlers<"settings.steps" | "settings.finish" | "settings.reset" | "wizard.mark"> = {
  "settings.steps": async ({ caller, params }, cases) =>
    withCalls(await cases.readSetup(caller, params.connection), params.connection),
  "settings.finish": async ({ caller, params, body }, cases) =>
    withCalls(await cases.finishSetup(caller, params.connection, body), params.connection),
  "settings.reset": async ({ caller, params }, cases) =>
    withCalls(await cases.resetSetup(caller, params.connection), params.connection),
  "wizard.mark": async ({ caller, params, body }, cases) =>
    withCalls(await cases.markStep(caller, params.connection, params.step, body), params.connection),
};

const withCalls = (view: SetupView, connection: string): z.input<typeof SetupAnswer> => ({
  ...view,
  steps: view.steps.map((step) => ({
    ...step,
    routes: [...(step.fields.length > 0 ? (["settings.change"] as const) : []), ...callsOf[step.id]].map((name) =>
      callOf(name, connection),
    ),
  })),
});

const callOf = (name: RouteName, connection: string) => {
  const { method, path, summary, permission }: Route = routes[name];
  return { name, method, path: `/${path.replace("{connection}", connection)}`, summary, permission };
};
