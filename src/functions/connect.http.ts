/** The pages of the consent flow: ours, and the two places where Microsoft sends the browser back. */
import type {
  Cookie,
  HttpHandler,
  HttpMethod,
  HttpRequest,
  HttpResponseInit,
  InvocationContext,
} from "@azure/functions";
import type { ConnectPage } from "../core/consent/connect.ts";
import type { PermissionText } from "../core/consent/permission-texts.ts";
import type { Visitor } from "../core/consent/sign-in.ts";
import { AppError, type ErrorKind, problems } from "../core/errors.ts";
import { cookieOf, type Html, html, page, seeOther, wrongVerb } from "./edge/page.ts";
import { type LimitedCases, perAddress } from "./edge/per-address.ts";
import { asAppError, logProblem } from "./edge/problem.ts";
import type { HttpFunction } from "./register.ts";

export interface ConnectCases {
  showConnect(ticket: string, cookie: string | undefined): Promise<ConnectPage>;
  continueConnect(ticket: string, cookie: string | undefined): Promise<{ redirect: string }>;
  signInCallback(query: URLSearchParams, visitor: Visitor): Promise<{ redirect: string }>;
  consentCallback(query: URLSearchParams, visitor: Visitor): Promise<{ redirect: string }>;
  clientIp(headers: { get(name: string): string | null }): string;
}

const cookieName = "__Host-connect";
const cookieSeconds = 600;

const browserCookie = (value: string): Cookie => ({
  name: cookieName,
  value,
  path: "/",
  secure: true,
  httpOnly: true,
  sameSite: "Lax",
  maxAge: cookieSeconds,
});

/** A ticket that does not exist: the page for it says that the attempt has ended, at an address without anything secret. */
const endedAddress = "/connect/ended";

type Verbs = Partial<
  Record<HttpMethod, (request: HttpRequest, context: InvocationContext) => Promise<HttpResponseInit>>
>;

const browser =
  (verbs: Verbs): HttpHandler =>
  async (request, context) => {
    const handle = verbs[request.method as HttpMethod];
    if (!handle) return wrongVerb(Object.keys(verbs));
    try {
      return await handle(request, context);
    } catch (error) {
      return problemPage(error, context);
    }
  };

export const connectPage = (cases: () => Pick<ConnectCases, "showConnect" | "continueConnect">): HttpHandler =>
  browser({
    GET: async ({ params, headers }) => {
      const shown = await cases().showConnect(params.ticket ?? "", cookieOf(headers, cookieName));
      return page(
        { status: 200, title: "Connect Microsoft 365", body: requestBody(shown), formTarget: shown.signInOrigin },
        [browserCookie(shown.cookie)],
      );
    },
    POST: async ({ params, headers }) => {
      // Only our page may go on, in a browser that has shown it: nobody is sent to Microsoft without having read who asks.
      if ((headers.get("sec-fetch-site") ?? "same-origin") !== "same-origin")
        throw new AppError("consent-attempt-unusable");
      const cookie = cookieOf(headers, cookieName);
      const { redirect } = await cases().continueConnect(params.ticket ?? "", cookie);
      return seeOther(redirect, cookie === undefined ? [] : [browserCookie(cookie)]);
    },
  });

type Callback = (query: URLSearchParams, visitor: Visitor) => Promise<{ redirect: string }>;

const callback = (cases: () => Pick<ConnectCases, "clientIp">, choose: () => Callback): HttpHandler =>
  browser({
    GET: async ({ query, headers }, { invocationId }) => {
      const cookie = cookieOf(headers, cookieName);
      const visitor: Visitor = { cookie, ip: cases().clientIp(headers), correlationId: invocationId };
      try {
        const { redirect } = await choose()(query, visitor);
        return seeOther(redirect, cookie === undefined ? [] : [browserCookie(cookie)]);
      } catch (error) {
        // The address holds a code or a state: it does not stay in the browser's history.
        if (error instanceof AppError && error.kind === "gone") return seeOther(endedAddress);
        throw error;
      }
    },
  });

export const signInCallback = (cases: () => Pick<ConnectCases, "clientIp" | "signInCallback">): HttpHandler =>
  callback(cases, () => cases().signInCallback);

export const consentCallback = (cases: () => Pick<ConnectCases, "clientIp" | "consentCallback">): HttpHandler =>
  callback(cases, () => cases().consentCallback);

export const connectFunctions = (cases: () => ConnectCases & LimitedCases): HttpFunction[] =>
  [
    { name: "connect-callback-consent", route: "connect/callback/consent", handler: consentCallback(cases) },
    { name: "connect-callback-sign-in", route: "connect/callback/sign-in", handler: signInCallback(cases) },
    { name: "connect-page", route: "connect/{ticket}", handler: connectPage(cases) },
  ].map((each) => ({ ...each, handler: perAddress(cases, each.handler) }));

const requestBody = (shown: ConnectPage): Html => html`
<p>Somebody asks you to connect your organisation's Microsoft 365. Go on only if you expect this and know who asks.</p>
<dl><dt>Workspace</dt><dd>${shown.workspaceId}</dd>
<dt>Asked for by</dt><dd>${shown.requester}</dd>
<dt>Data connection</dt><dd>${shown.connectionName}</dd>
<dt>Access</dt><dd>${shown.tierTitle}</dd></dl>
<p>Microsoft will ask you to sign in as an administrator and to approve:</p>
<ul>${shown.permissions.map(permissionItem)}</ul>
<p>Nothing is read before the person named above has confirmed the connection.</p>
<form method="post"><button>Continue to Microsoft</button></form>`;

const permissionItem = ({ wording, value, type }: PermissionText): Html =>
  html`<li>${wording} <small>(${value}, ${type === "application" ? "for the whole organisation" : "for each person who signs in"})</small></li>`;

const statuses: Partial<Record<ErrorKind, number>> = { gone: 410, "upstream-unavailable": 503, throttled: 503 };

const problemPage = (error: unknown, context: InvocationContext): HttpResponseInit => {
  const known = asAppError(error);
  const status = statuses[known.kind] ?? 500;
  logProblem(context, "connect", known, { correlationId: context.invocationId });
  const body = html`<p>${known.advice ?? "Please try again later."}</p><p><small>Reference: ${context.invocationId}</small></p>`;
  return page({ status, title: problems[known.code].title, body });
};
