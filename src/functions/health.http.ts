/** Up or down, for monitors, and whether somebody has to mend the installation itself; what is wrong is in the log. */
import type { HttpHandler } from "@azure/functions";
import type { UseCases } from "../composition.ts";
import { asAppError, logProblem, securityHeaders } from "./edge/problem.ts";
import type { HttpFunction } from "./register.ts";

export const health =
  (cases: () => Pick<UseCases, "checkHealth">): HttpHandler =>
  async (request, context) => {
    const headers = { ...securityHeaders };
    if (request.method !== "GET" && request.method !== "HEAD")
      return { status: 405, headers: { ...headers, allow: "GET, HEAD" } };
    try {
      await cases().checkHealth();
      return { status: 200, headers, jsonBody: { status: "up" } };
    } catch (error) {
      const problem = asAppError(error);
      logProblem(context, "health", problem, { correlationId: context.invocationId });
      const cause = problem.kind === "misconfigured" ? { code: "misconfigured" } : {};
      return { status: 503, headers, jsonBody: { status: "down", ...cause } };
    }
  };

export const healthFunctions = (cases: () => Pick<UseCases, "checkHealth">): HttpFunction[] => [
  { name: "health", route: "health", handler: health(cases) },
];
