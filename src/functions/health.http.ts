/**
 * Up or down, for monitors, whether somebody has to mend the installation itself, and how long its certificates last; what is
 * wrong is in the log.
 */
import type { HttpHandler, HttpResponseInit, InvocationContext } from "@azure/functions";
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
      const { notifications, certificates, fault } = await cases().checkHealth();
      const known = certificates.length > 0 ? { certificates } : {};
      return fault
        ? down(fault, context, known)
        : { status: 200, headers, jsonBody: { status: "up", notifications, ...known } };
    } catch (error) {
      return down(error, context);
    }
  };

const down = (error: unknown, context: InvocationContext, known: object = {}): HttpResponseInit => {
  const problem = asAppError(error);
  logProblem(context, "health", problem, { correlationId: context.invocationId });
  const cause = problem.kind === "misconfigured" ? { code: "misconfigured" } : {};
  return { status: 503, headers: { ...securityHeaders }, jsonBody: { status: "down", ...cause, ...known } };
};

export const healthFunctions = (cases: () => Pick<UseCases, "checkHealth">): HttpFunction[] => [
  { name: "health", route: "health", handler: health(cases) },
];
