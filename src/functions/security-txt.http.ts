/** Where somebody who has found a weakness can say so. https://www.rfc-editor.org/rfc/rfc9116 */
import type { HttpHandler } from "@azure/functions";
import { notFound } from "./edge/http.ts";
import { type LimitedCases, perAddress } from "./edge/per-address.ts";
import { securityHeaders } from "./edge/problem.ts";
import type { HttpFunction } from "./register.ts";

export interface SecurityTxtCases {
  publicBaseUrl: string;
  /** Null: none is published. */
  securityContact: string | null;
  now: () => number;
}

const path = ".well-known/security.txt";
/** It names a setting of today: whoever keeps it longer is to ask again. */
const validMilliseconds = 90 * 86_400_000;

const securityTxt =
  (cases: () => SecurityTxtCases): HttpHandler =>
  (request, context) => {
    const { publicBaseUrl, securityContact, now } = cases();
    if (securityContact === null) return notFound(request, context);
    if (request.method !== "GET" && request.method !== "HEAD")
      return { status: 405, headers: { ...securityHeaders, allow: "GET, HEAD" } };
    const lines = [
      `Contact: ${securityContact}`,
      `Expires: ${new Date(now() + validMilliseconds).toISOString()}`,
      `Canonical: ${publicBaseUrl}/${path}`,
    ];
    const headers = { ...securityHeaders, "content-type": "text/plain; charset=utf-8" };
    return { status: 200, headers, body: `${lines.join("\n")}\n` };
  };

export const securityTxtFunctions = (cases: () => SecurityTxtCases & LimitedCases): HttpFunction[] => [
  { name: "security-txt", route: path, handler: perAddress(cases, securityTxt(cases)) },
];
