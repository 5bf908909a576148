/** Data connections: make, list, read, rename, switch tiers, try, delete and take back. */
import type { Handlers } from "./register.ts";

export const connections: Handlers<
  | "connections.create"
  | "connections.list"
  | "connections.read"
  | "connections.update"
  | "connections.close"
  | "connections.restore"
  | "connections.test"
  | "connections.permissions"
> = {
  "connections.create": ({ caller, body }, cases) => cases.createConnection(caller, body),
  "connections.list": ({ caller, page }, cases) => cases.listConnections(caller, page),
  "connections.read": ({ caller, params }, cases) => cases.readConnection(caller, params.connection),
  "connections.update": ({ caller, params, ifMatch, body }, cases) =>
    cases.updateConnection(caller, params.connection, ifMatch, body),
  "connections.close": ({ caller, params, body }, cases) => cases.closeConnection(caller, params.connection, body),
  "connections.restore": ({ caller, params }, cases) => cases.restoreConnection(caller, params.connection),
  "connections.test": ({ caller, params }, cases) => cases.testConnection(caller, params.connection),
  "connections.permissions": async ({ caller, params }, cases) => ({
    items: await cases.showPermissions(caller, params.connection),
  }),
};
