/** Who may do what on a data connection. */
import type { Handlers } from "./register.ts";

export const security: Handlers<"security.read" | "security.change"> = {
  "security.read": ({ caller, params }, cases) => cases.showSecurity(caller, params.connection),
  "security.change": ({ caller, params, ifMatch, body }, cases) =>
    cases.changeSecurity(caller, params.connection, ifMatch, body),
};
