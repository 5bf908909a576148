/**
 * What is no route below the addresses of the API and of our pages; the rest is the host's. Names sort behind those of the routes,
 * which are tried in that order.
 */
import { notFound } from "./edge/http.ts";
import type { HttpFunction } from "./register.ts";

export const unknownFunctions: HttpFunction[] = [
  { name: "zz-unknown", route: "api/{*rest}", handler: notFound },
  { name: "zz-unknown-page", route: "connect/{*rest}", handler: notFound },
  { name: "zz-unknown-sso", route: "sso/{*rest}", handler: notFound },
];
