/** Which pages of other origins may call: those on the exact list, without cookies. This code is the only owner of CORS; the platform's is off. */
import type { HttpRequest } from "@azure/functions";
import { type Answer, securityHeaders } from "./problem.ts";

const exposed = "ETag, Link, Location, Retry-After, X-Correlation-Id";
const accepted = "Authorization, Content-Type, If-Match";
const preflightSeconds = "600";

/** Headers for every answer, also for refusals: a page must be able to read why. */
export const corsHeaders = (
  request: Pick<HttpRequest, "headers">,
  origins: ReadonlySet<string>,
): Record<string, string> => {
  const origin = request.headers.get("origin");
  const vary = { vary: "Origin" };
  if (origin === null || !origins.has(origin)) return vary;
  return { ...vary, "access-control-allow-origin": origin, "access-control-expose-headers": exposed };
};

/** The answer to OPTIONS; a page of another origin learns nothing and is stopped by its browser. */
export const preflight = (cors: Readonly<Record<string, string>>, methods: readonly string[]): Answer => {
  const verbs = methods.join(", ");
  const allowed = "access-control-allow-origin" in cors;
  return {
    status: 204,
    headers: {
      ...securityHeaders,
      ...cors,
      allow: verbs,
      ...(allowed
        ? {
            "access-control-allow-methods": verbs,
            "access-control-allow-headers": accepted,
            "access-control-max-age": preflightSeconds,
          }
        : {}),
    },
  };
};
