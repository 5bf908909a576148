/** Everything a connection holds, to begin with or to begin again. */
import type { Handlers } from "./register.ts";

export const snapshot: Handlers<"snapshot.read"> = {
  "snapshot.read": ({ caller, params, page }, cases) => cases.readSnapshot(caller, params.connection, page),
};
