/** What the flows share that people walk through in a browser: the cookie of an attempt, who visits, and the page for what went wrong. */
import type { Cookie, HttpRequest, HttpResponseInit, InvocationContext } from "@azure/functions";
import type { Visitor } from "../../core/consent/sign-in.ts";
import { type ErrorKind, problems } from "../../core/errors.ts";
import type { HeaderSource } from "./client-ip.ts";
import { cookieOf, html, page } from "./page.ts";
import { asAppError, logProblem } from "./problem.ts";

/** As long as an attempt. The prefix of its name keeps it to this very host, and it comes back from Microsoft's pages. */
export const attemptCookie = (name: `__Host-${string}`, value: string): Cookie => ({
  name,
  value,
  path: "/",
  secure: true,
  httpOnly: true,
  sameSite: "Lax",
  maxAge: 600,
});

export const visitorOf = (
  cases: () => { clientIp(headers: HeaderSource): string },
  cookieName: string,
  { headers }: HttpRequest,
  { invocationId }: InvocationContext,
): Visitor => ({ cookie: cookieOf(headers, cookieName), ip: cases().clientIp(headers), correlationId: invocationId });

const pageStatuses: Partial<Record<ErrorKind, number>> = {
  "invalid-input": 400,
  gone: 410,
  "upstream-unavailable": 503,
  throttled: 503,
};

/** For what nobody but the person in front of it may be told of; `what` is the event in the log. */
export const problemPage = (what: string, error: unknown, context: InvocationContext): HttpResponseInit => {
  const known = asAppError(error);
  logProblem(context, what, known, { correlationId: context.invocationId });
  const body = html`<p>${known.advice ?? "Please try again later."}</p><p><small>Reference: ${context.invocationId}</small></p>`;
  return page({ status: pageStatuses[known.kind] ?? 500, title: problems[known.code].title, body });
};
