/** Single sign-on: an OpenID Connect issuer for the vendor's applications, with Microsoft behind it. Without clients there is none. */
import type { Cookie, HttpHandler, HttpRequest, HttpResponseInit, InvocationContext } from "@azure/functions";
import type { Visitor } from "../core/consent/sign-in.ts";
import { AppError } from "../core/errors.ts";
import type { Departure } from "../core/sso/authorize.ts";
import type { Return } from "../core/sso/callback.ts";
import type { SsoClient } from "../core/sso/clients.ts";
import { providerMetadata } from "../core/sso/discovery.ts";
import type { Origin, TokenAnswer } from "../core/sso/exchange.ts";
import type { Identity } from "../core/sso/identity.ts";
import type { LinkAnswer } from "../core/sso/link.ts";
import { OAuthError, only } from "../core/sso/oauth-error.ts";
import type { PublicKey } from "../core/sso/signing-keys.ts";
import { attemptCookie, problemPage, visitorOf } from "./edge/browser.ts";
import type { HeaderSource } from "./edge/client-ip.ts";
import { notFound } from "./edge/http.ts";
import { cookieOf, type Html, html, leave, page, seeOther, wrongVerb } from "./edge/page.ts";
import { type LimitedCases, perAddress } from "./edge/per-address.ts";
import { asAppError, logProblem, securityHeaders, statuses } from "./edge/problem.ts";
import type { HttpFunction } from "./register.ts";

export interface SingleSignOn {
  authorize(parameters: URLSearchParams, cookie: string | undefined): Promise<Departure>;
  callback(query: URLSearchParams, visitor: Visitor): Promise<Return>;
  choose(
    secret: string,
    connection: string,
    visitor: Visitor,
  ): Promise<{ redirect: string; refusal: OAuthError | null }>;
  verifyClient(authorization: string | null, form: URLSearchParams): Promise<SsoClient>;
  exchange(client: SsoClient, form: URLSearchParams, origin: Origin): Promise<TokenAnswer>;
  userInfo(token: string, origin: Origin): Promise<Identity>;
  link(client: SsoClient, form: URLSearchParams, origin: Origin): Promise<LinkAnswer>;
  logout(parameters: URLSearchParams): Promise<{ redirect: string }>;
  keys(): Promise<PublicKey[]>;
}

export interface SsoCases extends LimitedCases {
  publicBaseUrl: string;
  /** Null: no application is registered, or the tier is not offered. */
  sso: SingleSignOn | null;
  clientIp(headers: HeaderSource): string;
}

type Cases = () => SsoCases;
type Handle = (sso: SingleSignOn, request: HttpRequest, context: InvocationContext) => Promise<HttpResponseInit>;
type Verbs = Partial<Record<"GET" | "POST", Handle>>;
type Failed = (error: unknown, request: HttpRequest, context: InvocationContext) => HttpResponseInit;

const serving =
  (cases: Cases, verbs: Verbs, failed: Failed): HttpHandler =>
  async (request, context) => {
    try {
      const { sso } = cases();
      if (sso === null) return await notFound(request, context);
      const handle = request.method === "GET" || request.method === "POST" ? verbs[request.method] : undefined;
      return handle ? await handle(sso, request, context) : wrongVerb(Object.keys(verbs));
    } catch (error) {
      return failed(error, request, context);
    }
  };

/** Not the host's view of a query, in which a parameter that was repeated has become one text. */
const queryOf = ({ url }: HttpRequest): URLSearchParams => URL.parse(url)?.searchParams ?? new URLSearchParams();

const maxFormBytes = 65_536;

const formOf = async (request: HttpRequest): Promise<URLSearchParams> => {
  const isForm = /^application\/x-www-form-urlencoded *(;|$)/i.test(request.headers.get("content-type") ?? "");
  const bytes = await request.arrayBuffer();
  if (!isForm || bytes.byteLength > maxFormBytes) throw new OAuthError("invalid_request", "the body is not a form");
  return new URLSearchParams(new TextDecoder().decode(bytes));
};

// Pages ------------------------------------------------------------------------------------------------------------------------

const cookieName = "__Host-sso";

/** For errors that no application may be told of. */
const failedPage: Failed = (error, _request, context) =>
  problemPage("sso", error instanceof OAuthError ? new AppError("sign-in-request-invalid") : error, context);

/** What a service or we are to blame for is logged as such. */
const logRefusal = (context: InvocationContext, { error, description, cause }: OAuthError): void => {
  const correlationId = context.invocationId;
  if (cause instanceof AppError && statuses[cause.kind] >= 500) logProblem(context, "sso", cause, { correlationId });
  else context.info(JSON.stringify({ event: "sso-refused", error, reason: description, correlationId }));
};

/** On to where the use-case says, whether that is good or bad news. */
const goOn = (
  context: InvocationContext,
  { redirect, refusal }: { redirect: string; refusal: OAuthError | null },
  cookies: Cookie[] = [],
): HttpResponseInit => {
  if (refusal) logRefusal(context, refusal);
  return seeOther(redirect, cookies);
};

const authorizing =
  (parametersOf: (request: HttpRequest) => URLSearchParams | Promise<URLSearchParams>): Handle =>
  async (sso, request, context) => {
    const parameters = await parametersOf(request);
    const departure = await sso.authorize(parameters, cookieOf(request.headers, cookieName));
    return goOn(context, departure, departure.cookie === null ? [] : [attemptCookie(cookieName, departure.cookie)]);
  };

const choicePage = ({ secret, options }: Extract<Return, { kind: "choice" }>): HttpResponseInit =>
  page({
    status: 200,
    title: "Where do you want to sign in?",
    body: html`<form method="post" action="/sso/choose"><input type="hidden" name="choice" value="${secret}">${options.map(choiceButton)}</form>`,
    formTarget: "'self'",
  });

const choiceButton = ({ connection, name }: { connection: string; name: string }): Html =>
  html`<p><button name="connection" value="${connection}">${name}</button></p>`;

/** A sign-in that has ended: its address holds nothing secret, so that none stays in the browser's history. */
const endedAddress = "/sso/ended";

const pages = (cases: Cases): HttpFunction[] => [
  {
    name: "sso-authorize",
    route: "sso/authorize",
    handler: serving(cases, { GET: authorizing(queryOf), POST: authorizing(formOf) }, failedPage),
  },
  {
    name: "sso-callback-entra",
    route: "sso/callback/entra",
    handler: serving(
      cases,
      {
        GET: async (sso, request, context) => {
          const answer = await sso.callback(queryOf(request), visitorOf(cases, cookieName, request, context));
          return answer.kind === "choice" ? choicePage(answer) : goOn(context, answer);
        },
      },
      (error, request, context) =>
        error instanceof AppError && error.kind === "gone"
          ? seeOther(endedAddress)
          : failedPage(error, request, context),
    ),
  },
  {
    name: "sso-choose",
    route: "sso/choose",
    handler: serving(
      cases,
      {
        POST: async (sso, request, context) => {
          if ((request.headers.get("sec-fetch-site") ?? "same-origin") !== "same-origin")
            throw new AppError("sign-in-attempt-unusable");
          const form = await formOf(request);
          const [choice, connection] = [only(form, "choice") ?? "", only(form, "connection") ?? ""];
          const { redirect, refusal } = await sso.choose(
            choice,
            connection,
            visitorOf(cases, cookieName, request, context),
          );
          if (refusal) logRefusal(context, refusal);
          return leave(redirect);
        },
      },
      failedPage,
    ),
  },
  {
    name: "sso-ended",
    route: "sso/ended",
    handler: serving(cases, { GET: () => Promise.reject(new AppError("sign-in-attempt-unusable")) }, failedPage),
  },
  {
    name: "sso-logout",
    route: "sso/logout",
    handler: serving(
      cases,
      {
        GET: async (sso, request) => seeOther((await sso.logout(queryOf(request))).redirect),
        POST: async (sso, request) => seeOther((await sso.logout(await formOf(request))).redirect),
      },
      failedPage,
    ),
  },
];

// What applications ask -------------------------------------------------------------------------------------------------------

const json = (status: number, jsonBody: unknown, headers: Readonly<Record<string, string>> = {}): HttpResponseInit => ({
  status,
  headers: { ...securityHeaders, "content-type": "application/json", ...headers },
  jsonBody,
});

/** Public keys and addresses; an hour is short against the day for which a key is published before it signs. */
const cacheable = { "cache-control": "public, max-age=3600" };

/** https://www.rfc-editor.org/rfc/rfc6749#section-5.2 */
const oauthAnswer: Failed = (error, request, context) => {
  if (error instanceof OAuthError) {
    logRefusal(context, error);
    const unauthorized = error.error === "invalid_client" || error.error === "invalid_token";
    const scheme = error.error === "invalid_token" ? `Bearer error="invalid_token"` : "Basic";
    const body = { error: error.error, error_description: error.description };
    return json(unauthorized ? 401 : 400, body, unauthorized ? { "www-authenticate": scheme } : {});
  }
  const known = asAppError(error);
  logProblem(context, "sso", known, {
    route: URL.parse(request.url)?.pathname ?? "",
    correlationId: context.invocationId,
  });
  const status = statuses[known.kind] < 500 ? 500 : statuses[known.kind];
  return json(status, { error: status === 503 ? "temporarily_unavailable" : "server_error" });
};

const bearer = ({ headers }: HttpRequest): string => {
  const token = /^Bearer +([A-Za-z0-9_-]+)$/i.exec(headers.get("authorization")?.trim() ?? "")?.[1];
  if (token === undefined) throw new OAuthError("invalid_token", "an access token is required in the header");
  return token;
};

const documents = (cases: Cases): HttpFunction[] => {
  const originOf = ({ headers }: HttpRequest, { invocationId }: InvocationContext): Origin => ({
    ip: cases().clientIp(headers),
    correlationId: invocationId,
  });
  const userInfo: Handle = async (sso, request, context) =>
    json(200, await sso.userInfo(bearer(request), originOf(request, context)));
  /** For an application that has proven itself. */
  const forClient =
    (use: "exchange" | "link"): Handle =>
    async (sso, request, context) => {
      const form = await formOf(request);
      const client = await sso.verifyClient(request.headers.get("authorization"), form);
      return json(200, await sso[use](client, form, originOf(request, context)));
    };
  return [
    { name: "sso-token", route: "sso/token", handler: serving(cases, { POST: forClient("exchange") }, oauthAnswer) },
    {
      name: "sso-product-user",
      route: "sso/product-user",
      handler: serving(cases, { POST: forClient("link") }, oauthAnswer),
    },
    {
      name: "sso-userinfo",
      route: "sso/userinfo",
      handler: serving(cases, { GET: userInfo, POST: userInfo }, oauthAnswer),
    },
    {
      name: "sso-jwks",
      route: "sso/jwks.json",
      handler: serving(cases, { GET: async (sso) => json(200, { keys: await sso.keys() }, cacheable) }, oauthAnswer),
    },
    {
      name: "sso-discovery",
      route: ".well-known/openid-configuration",
      handler: serving(
        cases,
        { GET: async () => json(200, providerMetadata(cases().publicBaseUrl), cacheable) },
        oauthAnswer,
      ),
    },
  ];
};

/** What applications ask from their servers has no limit for each address: all people of a product come from a few of them. */
export const ssoFunctions = (cases: Cases): HttpFunction[] => [
  ...pages(cases).map((each) => ({ ...each, handler: perAddress(cases, each.handler) })),
  ...documents(cases),
];
