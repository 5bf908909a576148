/**
 * A person at the pages of the simulated Entra ID, without a browser: opens an address, clicks an account or Cancel, and says
 * where the browser would go next. For tests and for the demonstration.
 */
export type Click = { account: string } | "cancel";

export type Landing =
  /** The application is called back. `body` is set when the browser posts (`response_mode=form_post`). */
  | { kind: "callback"; url: URL; body?: URLSearchParams }
  /** Microsoft keeps the person on a page of its own. */
  | { kind: "page"; status: number; html: string };

/** `account` is an object id, a user principal name, or any other text that stands on exactly one button. */
export const clickThrough = async (address: URL | string, click: Click): Promise<Landing> => {
  const shown = await fetch(address, { redirect: "manual" });
  if (shown.status === 302) return callback(shown);
  const html = await shown.text();
  const action = /<form method="post" action="([^"]*)">/.exec(html)?.[1];
  if (shown.status !== 200 || action === undefined) return { kind: "page", status: shown.status, html };
  const answer = await fetch(new URL(unescapeHtml(action), shown.url), {
    method: "POST",
    body:
      click === "cancel"
        ? new URLSearchParams({ action: "cancel" })
        : new URLSearchParams({ account: findAccount(html, click.account) }),
    redirect: "manual",
  });
  if (answer.status === 302) return callback(answer);
  const next = await answer.text();
  return postedBack(next) ?? { kind: "page", status: answer.status, html: next };
};

const callback = (response: Response): Landing => ({
  kind: "callback",
  url: new URL(response.headers.get("location") ?? "", response.url),
});

const findAccount = (html: string, wanted: string): string => {
  const buttons = [...html.matchAll(/<button name="account" value="([^"]*)">(.*?)<\/button>/gs)];
  const matching = buttons.filter(([button]) => unescapeHtml(button).includes(wanted));
  const account = matching[0]?.[1];
  if (matching.length !== 1 || account === undefined)
    throw new Error(`${matching.length} of ${buttons.length} accounts on the page match '${wanted}'`);
  return unescapeHtml(account);
};

const postedBack = (html: string): Landing | null => {
  const fields = [...html.matchAll(/<input type="hidden" name="([^"]*)" value="([^"]*)">/g)];
  const action = /<form method="post" action="([^"]*)">/.exec(html)?.[1];
  if (fields.length === 0 || action === undefined) return null;
  const body = new URLSearchParams(
    fields.map(([, name = "", value = ""]): [string, string] => [unescapeHtml(name), unescapeHtml(value)]),
  );
  return { kind: "callback", url: new URL(unescapeHtml(action)), body };
};

const unescapeHtml = (text: string): string =>
  text
    .replaceAll("&lt;", "<")
    .replaceAll("&gt;", ">")
    .replaceAll("&quot;", '"')
    .replaceAll("&#39;", "'")
    .replaceAll("&amp;", "&");
