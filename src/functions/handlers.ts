/** The handler of every route; a route without one does not compile. */
import { changes } from "./changes.http.ts";
import { connections } from "./connections.http.ts";
import { consent } from "./consent.http.ts";
import { events } from "./events.http.ts";
import { groups } from "./groups.http.ts";
import { openapi } from "./openapi.http.ts";
import { people } from "./people.http.ts";
import { productUsers } from "./product-users.http.ts";
import type { Handlers } from "./register.ts";
import { runs } from "./runs.http.ts";
import { settings } from "./settings.http.ts";
import { snapshot } from "./snapshot.http.ts";

export const handlers: Handlers = {
  ...changes,
  ...connections,
  ...consent,
  ...events,
  ...groups,
  ...openapi,
  ...people,
  ...productUsers,
  ...runs,
  ...settings,
  ...snapshot,
};
