/** What our few pages for browsers share: one style, no script but one of our own where a page needs it, nothing from another origin, and headers that say so. */
import { createHash } from "node:crypto";
import type { Cookie, HttpResponseInit } from "@azure/functions";

/** Text that may stand in a page as it is. Everything else that `html` puts together is escaped. */
export class Html {
  readonly text: string;
  constructor(text: string) {
    this.text = text;
  }
}

const entities: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};

const escaped = (value: string | Html | readonly Html[]): string => {
  if (value instanceof Html) return value.text;
  if (typeof value === "string") return value.replace(/[&<>"']/g, (sign) => entities[sign] ?? sign);
  return value.map(({ text }) => text).join("");
};

export const html = (parts: TemplateStringsArray, ...values: (string | Html | readonly Html[])[]): Html =>
  new Html(parts.map((part, index) => part + escaped(values[index] ?? "")).join(""));

const style =
  "body{font:1rem/1.5 system-ui,sans-serif;max-width:36rem;margin:3rem auto;padding:0 1rem;color:#222;background:#fff}" +
  "dt{color:#595959;font-size:.9rem}dd{margin:0 0 .6rem;overflow-wrap:anywhere}li{margin:.3rem 0}small{color:#595959}" +
  "button{font:inherit;padding:.6rem 1.2rem;cursor:pointer}input,select,textarea{font:inherit;max-width:100%}" +
  "textarea{width:100%;box-sizing:border-box}nav button{padding:.1rem .6rem}[aria-current]{font-weight:bold}";
const hashOf = (text: string): string => `'sha256-${createHash("sha256").update(text).digest("base64")}'`;
const styleHash = hashOf(style);

/** What a page with a script may do: run this very text, call this origin, and never make markup of a text. */
const scriptPolicy = (script: string): string[] => [
  `script-src ${hashOf(script)}`,
  "connect-src 'self'",
  "require-trusted-types-for 'script'",
];

/** `formTarget` is the origin that a form's answer may redirect to, `'self'` for our own answers; a page without one sends no form. */
const pageHeaders = (formTarget?: string, script?: string): Record<string, string> => ({
  "content-security-policy": [
    "default-src 'none'",
    `style-src ${styleHash}`,
    ...(script === undefined ? [] : scriptPolicy(script)),
    `form-action ${formTarget === undefined ? "'none'" : [...new Set(["'self'", formTarget])].join(" ")}`,
    "frame-ancestors 'none'",
    "base-uri 'none'",
  ].join("; "),
  "referrer-policy": "no-referrer",
  "cache-control": "no-store",
  "x-content-type-options": "nosniff",
  "strict-transport-security": "max-age=31536000",
});

export const page = (
  content: {
    status: number;
    title: string;
    body: Html;
    formTarget?: string;
    script?: string;
    headers?: Record<string, string>;
  },
  cookies: Cookie[] = [],
): HttpResponseInit => ({
  status: content.status,
  headers: {
    ...pageHeaders(content.formTarget, content.script),
    "content-type": "text/html; charset=utf-8",
    ...content.headers,
  },
  cookies,
  body: html`<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>${content.title}</title><style>${new Html(style)}</style></head><body><h1>${content.title}</h1>${content.body}${content.script === undefined ? [] : new Html(`<script>${content.script}</script>`)}</body></html>`
    .text,
});

export const seeOther = (location: string, cookies: Cookie[] = []): HttpResponseInit => ({
  status: 303,
  headers: { ...pageHeaders(), location },
  cookies,
});

/**
 * On to another site after a form of ours. A redirect would keep what follows under the page's `form-action`, and browsers stop the
 * sites there from sending the person further on.
 */
export const leave = (location: string): HttpResponseInit =>
  page({
    status: 200,
    title: "One moment",
    body: html`<p><a href="${location}">Continue</a></p>`,
    headers: { refresh: `0; url=${location}` },
  });

export const wrongVerb = (allowed: readonly string[]): HttpResponseInit => ({
  status: 405,
  headers: { ...pageHeaders(), allow: allowed.join(", ") },
});

export const cookieOf = (headers: { get(name: string): string | null }, name: string): string | undefined => {
  for (const pair of (headers.get("cookie") ?? "").split(";")) {
    const [key, value] = pair.trim().split("=", 2);
    if (key === name) return value;
  }
  return undefined;
};
