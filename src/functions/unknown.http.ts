/** Everything below the API's address that is no route. Its name sorts behind the names of the routes, which are tried in that order. */
import { notFound } from "./edge/http.ts";
import type { HttpFunction } from "./register.ts";

export const unknownFunctions: HttpFunction[] = [{ name: "unknown", route: "api/{*rest}", handler: notFound }];
