/** Registers every function. Nothing is built or read before the first one is called. */
import { useCases } from "../composition.ts";
import { wakeSchedule } from "../config.ts";
import { receiver } from "../receiver.ts";
import { registerAnchor } from "./audit-anchor.timer.ts";
import { registerCertificateWatch } from "./certificate-watch.timer.ts";
import { connectFunctions } from "./connect.http.ts";
import { registerWork } from "./directory-sync.queue.ts";
import { registerWake } from "./directory-sync.timer.ts";
import { notificationFunctions } from "./graph-notifications.http.ts";
import { registerNotifications } from "./graph-notifications.queue.ts";
import { registerSubscriptionWake } from "./graph-notifications.timer.ts";
import { handlers } from "./handlers.ts";
import { healthFunctions } from "./health.http.ts";
import { registerKeyCare } from "./key-care.timer.ts";
import { registerOperationCheck } from "./operation-check.timer.ts";
import { publisherFunctions } from "./publisher.http.ts";
import { apiFunctions, registerHttp } from "./register.ts";
import { securityTxtFunctions } from "./security-txt.http.ts";
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
  ...publisherFunctions(useCases),
  ...securityTxtFunctions(useCases),
  ...notificationFunctions(receiver),
  ...unknownFunctions,
]);
registerWake(useCases, wakeSchedule());
registerWork(useCases);
registerWebhookWake(useCases, wakeSchedule());
registerDelivery(useCases);
registerSubscriptionWake(useCases, wakeSchedule());
registerNotifications(useCases);
registerAnchor(useCases);
registerCertificateWatch(useCases);
registerOperationCheck(useCases);
registerKeyCare(useCases);
