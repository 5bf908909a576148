/** The change feed, and who follows it. */
import type { Handlers } from "./register.ts";

export const changes: Handlers<"changes.read" | "changes.acknowledge" | "changes.consumers" | "changes.forget"> = {
  "changes.read": ({ caller, params, query }, cases) =>
    cases.readChanges(caller, params.connection, { after: query.after, limit: query.limit, waitSeconds: query.wait }),
  "changes.acknowledge": ({ caller, params, body }, cases) => cases.acknowledgeChanges(caller, params.connection, body),
  "changes.consumers": async ({ caller, params }, cases) => ({
    items: await cases.listConsumers(caller, params.connection),
  }),
  "changes.forget": ({ caller, params }, cases) => cases.removeConsumer(caller, params.connection, params.consumer),
};
