/** An administrator with a browser who does not click the same on every page of Microsoft's. */
import { type Click, clickThrough } from "../../src/local/simulator/entra/click-through.ts";

const maxSteps = 12;

/** One click for each page of Microsoft's, in order: sign-in, approval. Returns the product's address where the browser ends. */
export const consent = async (
  connectUrl: string,
  clicks: readonly Click[],
  headers: Readonly<Record<string, string>> = {},
): Promise<URL> => {
  const ours = new URL(connectUrl).origin;
  const browser = jar(headers);
  await browser(connectUrl);
  let at = redirectOf(await browser(connectUrl, "POST"));
  const microsoft = at.origin;
  const left = [...clicks];
  for (let step = 0; step < maxSteps; step++) {
    if (at.origin === ours) at = redirectOf(await browser(at.href));
    else if (at.origin === microsoft) {
      const landing = await clickThrough(at, left.shift() ?? "cancel");
      if (landing.kind === "page") throw new Error(`Microsoft shows: ${landing.html}`);
      at = landing.url;
    } else return at;
  }
  throw new Error("The consent goes round in circles.");
};

const redirectOf = (answer: Response): URL => {
  const location = answer.headers.get("location");
  if (location === null) throw new Error(`${new URL(answer.url).pathname} answered ${answer.status} and no redirect.`);
  return new URL(location, answer.url);
};

/** Keeps the cookies of one host. */
const jar = (headers: Readonly<Record<string, string>>) => {
  const cookies = new Map<string, string>();
  return async (address: string, method = "GET"): Promise<Response> => {
    const cookie = [...cookies].map(([name, value]) => `${name}=${value}`).join("; ");
    const answer = await fetch(address, { method, redirect: "manual", headers: { ...headers, cookie } });
    for (const line of answer.headers.getSetCookie()) {
      const [, name = "", value = ""] = /^([^=]+)=([^;]*)/.exec(line) ?? [];
      cookies.set(name, value);
    }
    return answer;
  };
};
