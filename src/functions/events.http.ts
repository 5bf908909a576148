/** The form of every event of the change feed. */
import { eventsDocument } from "../core/feed/events.ts";
import type { Handlers } from "./register.ts";

export const events: Handlers<"events.read"> = {
  "events.read": async (_request, cases) => eventsDocument(cases.publicBaseUrl),
};
