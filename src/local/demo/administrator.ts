/** An administrator with a browser, played by plain HTTP: opens the link to our page and follows it through Microsoft's pages. */
import { type Click, clickThrough } from "../simulator/entra/click-through.ts";

/** Our page, sign-in, perhaps once more with a fresh password, approval, and the redirects between them. */
const maxSteps = 12;

/**
 * Returns the address of the product at which the browser ends. Throws when a page shows something else than what a person
 * could click on.
 */
export const followConsent = async (connectUrl: string, click: Click): Promise<URL> => {
  const ours = new URL(connectUrl).origin;
  const browser = cookieJar();
  await expectStatus(await browser.fetch(connectUrl), 200);
  let at = redirectOf(await browser.fetch(connectUrl, { method: "POST" }));
  const microsoft = at.origin;
  for (let step = 0; step < maxSteps; step++) {
    if (at.origin === ours) {
      const answer = await browser.fetch(at.href);
      await expectStatus(answer, 303);
      at = redirectOf(answer);
    } else if (at.origin === microsoft) {
      const landing = await clickThrough(at, click);
      if (landing.kind === "page") throw new Error(`Microsoft shows: ${textOf(landing.html)}`);
      at = landing.url;
    } else return at;
  }
  throw new Error("The consent goes round in circles.");
};

const redirectOf = (answer: Response): URL => {
  const location = answer.headers.get("location");
  if (location === null)
    throw new Error(`${new URL(answer.url).pathname} answered ${answer.status} without a redirect.`);
  return new URL(location, answer.url);
};

const expectStatus = async (answer: Response, status: number): Promise<void> => {
  if (answer.status !== status)
    throw new Error(`The connect page answered ${answer.status}: ${textOf(await answer.text())}`);
};

const textOf = (html: string): string =>
  html
    .replace(/<style.*?<\/style>|<title.*?<\/title>/gs, "")
    .replaceAll(/<[^>]+>/g, " ")
    .replaceAll(/\s+/g, " ")
    .trim();

/** Enough of a cookie jar for one host: names and values, newest wins. */
const cookieJar = () => {
  const cookies = new Map<string, string>();
  return {
    fetch: async (address: string, init: RequestInit = {}): Promise<Response> => {
      const cookie = [...cookies].map(([name, value]) => `${name}=${value}`).join("; ");
      const answer = await fetch(address, { ...init, redirect: "manual", headers: cookie === "" ? {} : { cookie } });
      for (const line of answer.headers.getSetCookie()) {
        const [, name = "", value = ""] = /^([^=]+)=([^;]*)/.exec(line) ?? [];
        cookies.set(name, value);
      }
      return answer;
    },
  };
};
