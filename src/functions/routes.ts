/**
 * The one table of the API: every route with its right, its form and what it answers. The functions, the permission test and
 * the OpenAPI document come from it. A `{connection}` of another workspace does not exist.
 */
import { auditRoutes } from "./routes/audit.ts";
import { connectionRoutes } from "./routes/connections.ts";
import { descriptionRoutes } from "./routes/description.ts";
import { directoryRoutes } from "./routes/directory.ts";
import { feedRoutes } from "./routes/feed.ts";
import { runRoutes } from "./routes/runs.ts";
import { setupRoutes } from "./routes/setup.ts";

export const routes = {
  ...connectionRoutes,
  ...setupRoutes,
  ...runRoutes,
  ...directoryRoutes,
  ...feedRoutes,
  ...auditRoutes,
  ...descriptionRoutes,
};

export type RouteName = keyof typeof routes;
