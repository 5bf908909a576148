/** What is held of people, why, where, how long, and who sees it. */
import type { Handlers } from "./register.ts";

export const privacy: Handlers<"privacy.record"> = {
  "privacy.record": ({ caller, params }, cases) => cases.readPrivacyRecord(caller, params.connection),
};
