/** The change feed. */
import type { Handlers } from "./register.ts";

export const changes: Handlers<"changes.read"> = {
  "changes.read": ({ caller, params, query }, cases) =>
    cases.readChanges(caller, params.connection, { after: query.after, limit: query.limit, waitSeconds: query.wait }),
};
