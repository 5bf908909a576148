/** The keys of a data connection. */
import type { Handlers } from "./register.ts";

export const keys: Handlers<"keys.read" | "keys.rotate" | "keys.rekey"> = {
  "keys.read": ({ caller, params }, cases) => cases.showKeys(caller, params.connection),
  "keys.rotate": ({ caller, params }, cases) => cases.rotateKeys(caller, params.connection),
  "keys.rekey": ({ caller, params, body }, cases) => cases.rekeyConnection(caller, params.connection, body),
};
