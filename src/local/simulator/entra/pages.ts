/** The few HTML pages that a browser meets at the simulated Entra ID. They work by click and without script where they can. */
import type { SimResponse } from "../http.ts";
import { errorDescription, meaningOf, type Refusal, type Trace } from "./refusal.ts";

const entities: Record<string, string> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" };
const escapeHtml = (text: string): string => text.replace(/[&<>"']/g, (sign) => entities[sign] ?? sign);

const style = `body{font:16px system-ui;max-width:34rem;margin:3rem auto;padding:0 1rem;color:#222}
button{display:block;width:100%;margin:.4rem 0;padding:.7rem;text-align:left;font:inherit;cursor:pointer}
small{color:#666}h1{font-size:1.3rem}`;

const page = (status: number, title: string, body: string, scriptNonce?: string): SimResponse => ({
  status,
  headers: {
    "content-type": "text/html; charset=utf-8",
    "cache-control": "no-store, no-cache",
    "referrer-policy": "strict-origin-when-cross-origin",
    "x-frame-options": "DENY",
    "content-security-policy": `default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'${scriptNonce ? `; script-src 'nonce-${scriptNonce}'` : ""}`,
  },
  body: `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>${escapeHtml(title)}</title><style>${style}</style></head><body><h1>${escapeHtml(title)}</h1>${body}<p><small>Simulated Entra ID - not Microsoft.</small></p></body></html>`,
});

export interface Choice {
  /** Form field `account`; see `accountKey`. */
  account: string;
  label: string;
  note: string;
}

const choiceButtons = (choices: Choice[]): string =>
  choices
    .map(
      ({ account, label, note }) =>
        `<button name="account" value="${escapeHtml(account)}">${escapeHtml(label)}<br><small>${escapeHtml(note)}</small></button>`,
    )
    .join("\n");

const form = (action: string, content: string): string =>
  `<form method="post" action="${escapeHtml(action)}">${content}<button name="action" value="cancel">Cancel</button></form>`;

export const signInPage = (application: string, action: string, choices: Choice[]): SimResponse =>
  page(
    200,
    "Pick an account",
    `<p>to continue to ${escapeHtml(application)}</p>${form(action, choiceButtons(choices))}`,
  );

export const consentPage = (
  application: string,
  permissions: string[],
  action: string,
  choices: Choice[],
): SimResponse =>
  page(
    200,
    "Permissions requested",
    `<p>${escapeHtml(application)} asks for, on behalf of the whole organization:</p><ul>${permissions
      .map((permission) => `<li>${escapeHtml(permission)}</li>`)
      .join("")}</ul><p>Accept as</p>${form(action, choiceButtons(choices))}`,
  );

/** Microsoft's own error page: the person stays here, the application hears nothing. */
export const refusalPage = (refusal: Refusal, trace: Trace): SimResponse =>
  page(
    meaningOf(refusal).status,
    "Sorry, but we are having trouble signing you in",
    `<p>${escapeHtml(errorDescription(refusal, trace))}</p>`,
  );

export const signedOutPage = (): SimResponse => page(200, "You signed out of your account", "");

/** `response_mode=form_post`: the browser posts the answer to the application; the button is for browsers without script. */
export const formPostPage = (action: string, fields: URLSearchParams, scriptNonce: string): SimResponse =>
  page(
    200,
    "Working...",
    `<form method="post" action="${escapeHtml(action)}">${[...fields]
      .map(([name, value]) => `<input type="hidden" name="${escapeHtml(name)}" value="${escapeHtml(value)}">`)
      .join(
        "",
      )}<noscript><button>Continue</button></noscript></form><script nonce="${scriptNonce}">document.forms[0].submit()</script>`,
    scriptNonce,
  );
