/** Registers every function. Nothing is built or read before the first one is called. */
import { useCases } from "../composition.ts";
import { wakeSchedule } from "../config.ts";
import { registerConnect } from "./connect.http.ts";
import { registerWork } from "./directory-sync.queue.ts";
import { registerWake } from "./directory-sync.timer.ts";
import { handlers } from "./handlers.ts";
import { healthFunctions } from "./health.http.ts";
import { apiFunctions, registerHttp } from "./register.ts";
import { registerSetup } from "./setup.http.ts";
import { registerDelivery } from "./webhook-delivery.queue.ts";
import { registerWebhookWake } from "./webhook-delivery.timer.ts";
import { unknownFunctions } from "./zz-unknown.http.ts";

registerHttp([...apiFunctions(useCases, handlers), ...healthFunctions(useCases), ...unknownFunctions]);
registerConnect(useCases);
registerSetup(useCases);
registerWake(useCases, wakeSchedule());
registerWork(useCases);
registerWebhookWake(useCases, wakeSchedule());
registerDelivery(useCases);
