/** Our pages in a real browser, with its own opinion of cookies, redirects and policies. Runs where `CHROMIUM_PATH` is given. */
import { createHash } from "node:crypto";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, expect, test } from "vitest";
import { z } from "zod";
import { permissions } from "../../src/core/context.ts";
import { type Caller, callerOf, expectStatus } from "../support/api.ts";
import { type Chromium, startChromium, type Tab } from "../support/chromium.ts";
import { startTestStack, type TestStack } from "../support/stack.ts";

const secret = "secret of the product";
let app: Server;
/** Of the product; another origin than `elsewhere`, where it keeps its people. */
let product: string;
let elsewhere: string;
let stack: TestStack;
let chromium: Chromium;
let call: Caller;
let administrator: string;

/** The product: comes back from consent and sign-in, sends people on to another host, and opens the setup. */
const startApp = async (): Promise<void> => {
  app = createServer(({ url = "" }, response) => {
    const page = (html: string) => response.setHeader("content-type", "text/html").end(`<title>Product</title>${html}`);
    if (url.startsWith("/signed-in")) response.writeHead(302, { location: `${elsewhere}/home${url.slice(10)}` }).end();
    else if (url === "/setup")
      page(
        `<script>addEventListener("message", ({ data, source, origin }) => { window.heard = data; window.reply = (text) => source.postMessage(text, origin); });</script>`,
      );
    else page("<p>Here you are.</p>");
  });
  await new Promise<void>((resolve) => app.listen(0, () => resolve()));
  const { port } = app.address() as AddressInfo;
  product = `http://localhost:${port}`;
  elsewhere = `http://127.0.0.1:${port}`;
};

beforeAll(async () => {
  await startApp();
  const client = {
    clientId: "product",
    redirectUris: [`${product}/signed-in`],
    secretHash: createHash("sha256").update(secret).digest("hex"),
  };
  stack = await startTestStack({
    seed: 77,
    returnOrigins: [product],
    environment: { SSO_CLIENTS: JSON.stringify([client]), CORS_ALLOWED_ORIGINS: product },
  });
  call = callerOf(stack, { workspace: "acme" });
  const tenant = { users: 8, groups: 2, seed: 77, domain: "browser.example" };
  const made = await stack.simulator.command("create-tenant", tenant);
  administrator = made.accounts[0]?.objectId ?? "";
  chromium = await startChromium(z.string().parse(process.env.CHROMIUM_PATH));
});
afterAll(async () => {
  await chromium?.close();
  await stack?.stop();
  app?.close();
});

/** Takes the administrator's account on the next page of Microsoft's. */
const atMicrosoft = async (tab: Tab): Promise<void> => {
  const origin = JSON.stringify(stack.config.entra.authority);
  await tab.until("Microsoft", `location.origin === ${origin} && document.readyState === "complete" && !window.seen`);
  await tab.ask("window.seen = true");
  await tab.press(administrator);
};

const approve = async (tab: Tab, id: string, tier: "read" | "signIn"): Promise<void> => {
  const body = { tier, returnUrl: `${product}/connected` };
  const started = await expectStatus(201, call("POST", `/connections/${id}/consent`, { body }));
  await tab.open(String(started.body.connectUrl));
  await tab.until("who asks", `document.body.textContent.includes("tester")`);
  await tab.press("Continue to Microsoft");
  await atMicrosoft(tab);
  await atMicrosoft(tab);
  await tab.until("the product", `location.href.startsWith(${JSON.stringify(product)})`);
  const code = new URL(await tab.address()).searchParams.get("code");
  await expectStatus(200, call("POST", `/connections/${id}/consent/complete`, { body: { code } }));
};

const tokenFor = () => stack.tokenFor({ workspace: "acme", subject: "tester", permissions: [...permissions] });

const titleOfStep = `(document.querySelector("#title")?.textContent ?? "")`;
const status = `document.querySelector("#status").textContent`;

const setUp = async (tab: Tab): Promise<void> => {
  for (let step = 0; (await tab.ask(titleOfStep)) !== "Finish"; step++) {
    expect(step).toBeLessThan(20);
    const before = await tab.ask(titleOfStep);
    if (before === "Automatic sync") await tab.ask(`document.getElementById("field-signIn.createPeople").click()`);
    await tab.press("Save and continue");
    await tab.until("the next step", `${titleOfStep} !== ${JSON.stringify(before)} && ${status} === "Saved."`);
  }
  await tab.ask(`document.querySelector("#without").click()`);
  await tab.press("Finish");
  await tab.until("the end", `${status}.includes("The setup is finished.")`);
};

const signIn = async (tab: Tab, target: Record<string, string>): Promise<void> => {
  const challenge = createHash("sha256").update("v".repeat(50)).digest("base64url");
  const query = new URLSearchParams({
    client_id: "product",
    redirect_uri: `${product}/signed-in`,
    response_type: "code",
    scope: "openid",
    code_challenge: challenge,
    code_challenge_method: "S256",
    ...target,
  });
  await tab.open(`${stack.publicBaseUrl}/sso/authorize?${query.toString()}`);
  await atMicrosoft(tab);
};
const isHome = () =>
  `location.href.startsWith(${JSON.stringify(elsewhere)} + "/home?") && location.search.includes("code=")`;

test("an administrator approves, sets up, and people sign in", async () => {
  const tab = await chromium.tab();
  const connect = async (displayName: string): Promise<string> => {
    const body = { displayName, access: { read: true, signIn: true } };
    const id = String((await expectStatus(201, call("POST", "/connections", { body }))).body.id);
    await approve(tab, id, "read");
    await approve(tab, id, "signIn");
    expect(tab.complaints()).toEqual([]);
    return id;
  };
  const id = await connect("Browser");

  await tab.open(`${stack.publicBaseUrl}/setup`);
  await tab.fill("#token", await tokenFor());
  await tab.press("Continue");
  await tab.until("the connections", `document.querySelector("#connection") !== null`);
  await tab.press("Continue");
  await tab.until("the steps", `document.querySelector("nav") !== null`);
  await setUp(tab);
  expect(tab.complaints()).toEqual([]);
  const settings = await expectStatus(200, call("GET", `/connections/${id}/settings`));
  expect(settings.body).toMatchObject({ signIn: { createPeople: true } });

  await signIn(tab, { connection: id });
  await tab.until("the product", isHome());
  expect(tab.complaints()).toEqual([]);
  const people = await expectStatus(200, call("GET", `/connections/${id}/people`));
  expect(people.body.items).toHaveLength(1);

  const second = await connect("Another");
  const path = `/connections/${second}/settings`;
  const { body } = await expectStatus(200, call("GET", path));
  const { version: _v, etag, ...same } = body;
  const headers = { "if-match": String(etag) };
  const finish = call("POST", `${path}/steps/finish`, { body: { withoutTest: true } });
  await expectStatus(200, finish);
  await expectStatus(200, call("PUT", path, { body: { ...same, signIn: { createPeople: true } }, headers }));
  await signIn(tab, { domain: "browser.example" });
  await tab.press("Another");
  await tab.until("the product", isHome());
  expect(tab.complaints()).toEqual([]);
});

test("the product opens the setup in a window and sends it the token", async () => {
  const tab = await chromium.tab();
  await tab.open(`${product}/setup`);
  await tab.until("the product", `document.title === "Product"`);
  const setup = `${stack.publicBaseUrl}/setup`;
  await tab.ask(`window.child = window.open(${JSON.stringify(setup)}) && true`);
  const child = await chromium.opened(setup);
  await tab.until("the setup", `window.heard?.type === "setup-ready"`);
  const message = { type: "access-token", token: await tokenFor() };
  await tab.ask(`window.reply(${JSON.stringify(message)})`);
  await child.until("the connections", `document.querySelector("#connection") !== null`);
  expect([...tab.complaints(), ...child.complaints()]).toEqual([]);
});
