/** The vendor's endpoints: how they are, a test, a replay. */
import type { Handlers } from "./register.ts";

export const webhooks: Handlers<"webhooks.list" | "webhooks.test" | "webhooks.replay"> = {
  "webhooks.list": async ({ caller, params }, cases) => ({
    items: await cases.listWebhooks(caller, params.connection),
  }),
  "webhooks.test": ({ caller, params }, cases) => cases.testWebhook(caller, params.connection, params.endpoint),
  "webhooks.replay": ({ caller, params, body }, cases) =>
    cases.replayWebhook(caller, params.connection, params.endpoint, body),
};
