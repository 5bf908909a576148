/** Pages for browsers are for anybody, so each client address has a bucket of its own. */
import type { HttpHandler, HttpResponseInit } from "@azure/functions";
import { type AppError, isAppError, problems } from "../../core/errors.ts";
import { type Edge, takeForAddress } from "./http.ts";
import { html, page } from "./page.ts";
import { retryAfter } from "./problem.ts";

export interface LimitedCases {
  edge: Pick<Edge, "limits" | "clientIp">;
}

export const perAddress =
  (cases: () => LimitedCases, handler: HttpHandler): HttpHandler =>
  async (request, context) => {
    try {
      takeForAddress(cases().edge, request.headers);
    } catch (error) {
      // What else can go wrong here goes wrong in the handler too, which has a page for it.
      if (isAppError(error, "rate-limited")) return busy(error);
    }
    return handler(request, context);
  };

const busy = (problem: AppError): HttpResponseInit =>
  page({
    status: 429,
    title: problems[problem.code].title,
    body: html`<p>Please try again in a moment.</p>`,
    headers: retryAfter(problem),
  });
