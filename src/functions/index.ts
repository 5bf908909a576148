/** Registers every function. Nothing is built or read before the first one is called. */
import { useCases } from "../composition.ts";
import { wakeSchedule } from "../config.ts";
import { registerAnchor } from "./audit-anchor.timer.ts";
import { connectFunctions } from "./connect.http.ts";
import { registerWork } from "./directory-sync.queue.ts";
import { registerWake } from "./directory-sync.timer.ts";
import { handlers } from "./handlers.ts";
import { healthFunctions } from "./health.http.ts";
import { apiFunctions, registerHttp } from "./register.ts";
import { setupFunctions } from "./setup.http.ts";
import { ssoFunctions } from "./sso.http.ts";
import { registerDelivery } from "./webhook-delivery.queue.ts";
import { registerWebhookWake } from "./webhook-delivery.timer.ts";
import { unknownFunctions } from "./zz-unknown.http.ts";

registerHttp([
  ...apiFunctions(useCases, handlers),
  ...connectFunctions(useCases),
  ...setupFunctions(useCases),
  ...ssoFunctions(useCases),
  ...healthFunctions(useCases),
  ...unknownFunctions,
]);
registerWake(useCases, wakeSchedule());
registerWork(useCases);
registerWebhookWake(useCases, wakeSchedule());
registerDelivery(useCases);
registerAnchor(useCases);
