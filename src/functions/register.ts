/** From the table and its handlers to functions: one for each path, for all verbs. */
import { app, type HttpHandler, type HttpMethod } from "@azure/functions";
import type { UseCases } from "../composition.ts";
import { type Checked, type Endpoint, serve } from "./edge/http.ts";
import { functionName, type Input, type Output, type Route } from "./route.ts";
import { type RouteName, routes } from "./routes.ts";

type Table = typeof routes;

export type Handlers<N extends RouteName = RouteName> = {
  [K in N]: (request: Input<Table[K]>, cases: UseCases) => Promise<Output<Table[K]>>;
};

export interface HttpFunction {
  name: string;
  route: string;
  handler: HttpHandler;
}

/** The host answers 404 to a verb that is not registered; all are, so that the answer can be 405. */
const everyVerb: HttpMethod[] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

/** What the schemas of this very route have accepted has the form that its handler expects. */
const endpointOf = <N extends RouteName>(name: N, handlers: Handlers, cases: () => UseCases): Endpoint => ({
  name,
  route: routes[name],
  run: (request: Checked) => handlers[name](request as Input<Table[N]>, cases()),
});

export const apiFunctions = (cases: () => UseCases, handlers: Handlers): HttpFunction[] => {
  const byPath = new Map<string, RouteName[]>();
  for (const name of Object.keys(routes) as RouteName[]) {
    const { path }: Route = routes[name];
    byPath.set(path, [...(byPath.get(path) ?? []), name]);
  }
  return [...byPath].map(([path, names]) => ({
    name: functionName(names[0]?.split(".")[0] ?? "", path),
    route: path,
    handler: serve(
      () => cases().edge,
      names.map((name) => endpointOf(name, handlers, cases)),
    ),
  }));
};

export const registerHttp = (functions: readonly HttpFunction[]): void => {
  for (const { name, route, handler } of functions)
    app.http(name, { route, methods: everyVerb, authLevel: "anonymous", handler });
};
