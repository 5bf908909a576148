/** The handler of every route; a route without one does not compile. */

import { access } from "./access.http.ts";
import { attributes } from "./attributes.http.ts";
import { audit } from "./audit.http.ts";
import { changes } from "./changes.http.ts";
import { connections } from "./connections.http.ts";
import { consent } from "./consent.http.ts";
import { events } from "./events.http.ts";
import { groups } from "./groups.http.ts";
import { keys } from "./keys.http.ts";
import { openapi } from "./openapi.http.ts";
import { people } from "./people.http.ts";
import { privacy } from "./privacy.http.ts";
import { productGroups } from "./product-groups.http.ts";
import { productUsers } from "./product-users.http.ts";
import type { Handlers } from "./register.ts";
import { runs } from "./runs.http.ts";
import { security } from "./security.http.ts";
import { settings } from "./settings.http.ts";
import { snapshot } from "./snapshot.http.ts";
import { webhooks } from "./webhooks.http.ts";
import { wizard } from "./wizard.http.ts";

export const handlers: Handlers = {
  ...access,
  ...attributes,
  ...audit,
  ...changes,
  ...connections,
  ...consent,
  ...events,
  ...groups,
  ...keys,
  ...openapi,
  ...people,
  ...privacy,
  ...productGroups,
  ...productUsers,
  ...runs,
  ...security,
  ...settings,
  ...snapshot,
  ...webhooks,
  ...wizard,
};
