/** The product's own page, to which a browser comes back after consent. It hands the one-time code to the product's back end. */
import type { SimResponse } from "../simulator/http.ts";
import { startLoopbackServer } from "../tokens/loopback-server.ts";

export interface ReturnPage {
  origin: string;
  returnUrl: string;
  /** The query with which the next browser comes back. */
  nextReturn(): Promise<URLSearchParams>;
  close(): Promise<void>;
}

export const startReturnPage = async (): Promise<ReturnPage> => {
  let waiting: ((query: URLSearchParams) => void)[] = [];
  const server = await startLoopbackServer({
    answer: ({ method, url }): SimResponse => {
      if (method !== "GET" || url.pathname !== "/connected") return { status: 404, body: "" };
      for (const tell of waiting) tell(url.searchParams);
      waiting = [];
      const text = url.searchParams.has("code")
        ? "Approved. You can close this page."
        : "Not approved. You can close this page and start again.";
      return {
        status: 200,
        headers: {
          "content-type": "text/html; charset=utf-8",
          "cache-control": "no-store",
          "referrer-policy": "no-referrer",
          "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
        },
        body: `<!doctype html><title>Demonstration product</title><p>${text}</p>`,
      };
    },
  });
  return {
    origin: server.url,
    returnUrl: `${server.url}/connected`,
    nextReturn: () => new Promise((resolve) => waiting.push(resolve)),
    close: () => server.close(),
  };
};
