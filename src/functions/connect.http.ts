/** The pages of the consent flow: ours, and the two places where Microsoft sends the browser back. */
import type { HttpHandler, HttpMethod, HttpRequest, HttpResponseInit, InvocationContext } from "@azure/functions";
import type { ConnectPage } from "../core/consent/connect.ts";
import type { PermissionText } from "../core/consent/permission-texts.ts";
import type { Visitor } from "../core/consent/sign-in.ts";
import { AppError } from "../core/errors.ts";
import { attemptCookie, problemPage, visitorOf } from "./edge/browser.ts";
import type { HeaderSource } from "./edge/client-ip.ts";
import { cookieOf, type Html, html, page, seeOther, wrongVerb } from "./edge/page.ts";
import { type LimitedCases, perAddress } from "./edge/per-address.ts";
import type { HttpFunction } from "./register.ts";

export interface ConnectCases {
  showConnect(ticket: string, cookie: string | undefined): Promise<ConnectPage>;
  continueConnect(ticket: string, cookie: string | undefined): Promise<{ redirect: string }>;
  signInCallback(query: URLSearchParams, visitor: Visitor): Promise<{ redirect: string }>;
  consentCallback(query: URLSearchParams, visitor: Visitor): Promise<{ redirect: string }>;
  clientIp(headers: HeaderSource): string;
}

const cookieName = "__Host-connect";

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
      return problemPage("connect", error, context);
    }
  };

export const connectPage = (cases: () => Pick<ConnectCases, "showConnect" | "continueConnect">): HttpHandler =>
  browser({
    GET: async ({ params, headers }) => {
      const shown = await cases().showConnect(params.ticket ?? "", cookieOf(headers, cookieName));
      return page(
        { status: 200, title: "Connect Microsoft 365", body: requestBody(shown), formTarget: shown.signInOrigin },
        [attemptCookie(cookieName, shown.cookie)],
      );
    },
    POST: async ({ params, headers }) => {
      // Only our page may go on, in a browser that has shown it: nobody is sent to Microsoft without having read who asks.
      if ((headers.get("sec-fetch-site") ?? "same-origin") !== "same-origin")
        throw new AppError("consent-attempt-unusable");
      const cookie = cookieOf(headers, cookieName);
      const { redirect } = await cases().continueConnect(params.ticket ?? "", cookie);
      return seeOther(redirect, cookie === undefined ? [] : [attemptCookie(cookieName, cookie)]);
    },
  });

type Callback = (query: URLSearchParams, visitor: Visitor) => Promise<{ redirect: string }>;

const callback = (cases: () => Pick<ConnectCases, "clientIp">, choose: () => Callback): HttpHandler =>
  browser({
    GET: async (request, context) => {
      const visitor = visitorOf(cases, cookieName, request, context);
      const { cookie } = visitor;
      try {
        const { redirect } = await choose()(request.query, visitor);
        return seeOther(redirect, cookie === undefined ? [] : [attemptCookie(cookieName, cookie)]);
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
