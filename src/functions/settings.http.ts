/** Settings of the directory sync. */
import type { Handlers } from "./register.ts";

export const settings: Handlers<"settings.read" | "settings.change"> = {
  "settings.read": ({ caller, params }, cases) => cases.readSettings(caller, params.connection),
  "settings.change": ({ caller, params, ifMatch, body }, cases) =>
    cases.changeSettings(caller, params.connection, ifMatch, body),
};
