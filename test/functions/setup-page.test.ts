/** The reference page against the real API: what it needs is all there. */
import { createHash } from "node:crypto";
import vm from "node:vm";
import { HttpRequest, type HttpResponseInit, InvocationContext } from "@azure/functions";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { z } from "zod";
import { Settings } from "../../src/core/connections/settings.ts";
import { SetupAnswer } from "../../src/functions/answers.ts";
import { routes } from "../../src/functions/routes.ts";
import { setupPage } from "../../src/functions/setup.http.ts";
import { type FakeFetch, type FakePage, openFakePage } from "../support/fake-page.ts";
import { type ApiStage, pageOrigin, startApi } from "./api-stage.ts";

type Raw = Record<string, string | boolean>;
type Steps = z.infer<typeof SetupAnswer>["steps"];
interface Forms {
  rawsOf(steps: Steps): Raw;
  settingsOf(steps: Steps, raw: Raw): unknown;
  fieldAt(steps: Steps, at?: string): { step: { id: string }; field: { path: string } } | null;
}

/** For what happens by itself, on a machine that may have other things to do. */
const patience = { timeout: 30_000 };

const sailors = "5a110125-2222-4333-8444-555555555555";

let api: ApiStage;
let id: string;
let base: string;
let script: string;
let forms: Forms;

const asked = async (method: string): Promise<HttpResponseInit> => {
  const request = new HttpRequest({ method, url: "https://sync.example/setup" });
  return setupPage(() => api.cases)(request, new InvocationContext({ functionName: "setup" }));
};
const textOf = ({ body }: HttpResponseInit): string => (typeof body === "string" ? body : "");
const headersOf = (answer: HttpResponseInit): Headers => new Headers(answer.headers);

beforeAll(async () => {
  api = await startApi();
  let tid: string;
  ({ id, tid } = await api.connect(8, 3));
  const properties = {
    displayName: "Sailors",
    mailEnabled: false,
    mailNickname: "s",
    securityEnabled: true,
    groupTypes: [],
  };
  const create = { op: "create-group" as const, group: { id: sailors, properties } };
  api.simulator.commands.mutate.run({ tid, mutations: [create] });
  base = `/api/v1/connections/${id}`;
  script = /<script>([\s\S]*)<\/script>/.exec(textOf(await asked("GET")))?.[1] ?? "";
  const context = vm.createContext({});
  // The page itself needs a browser; the forms come before it.
  expect(() => vm.runInContext(script, context) as unknown).toThrow("document is not defined");
  forms = vm.runInContext("setupForms", context) as Forms;
});
afterAll(() => api.close());

const readSetup = async () => SetupAnswer.parse((await api.call("GET", `${base}/settings/steps`)).body);
const readSettings = async (): Promise<Settings> => {
  const { version: _version, etag: _etag, ...settings } = (await api.call("GET", `${base}/settings`)).body;
  return Settings.parse(settings);
};

describe("the page", () => {
  test("runs its own script, calls its own origin, sends no form and is framed by nobody", async () => {
    const answer = await asked("GET");
    const policy = headersOf(answer).get("content-security-policy")?.split("; ");
    const hash = createHash("sha256").update(script).digest("base64");
    expect(policy).toEqual([
      "default-src 'none'",
      expect.stringMatching(/^style-src 'sha256-[A-Za-z0-9+/=]+'$/),
      `script-src 'sha256-${hash}'`,
      "connect-src 'self'",
      "require-trusted-types-for 'script'",
      "form-action 'none'",
      "frame-ancestors 'none'",
      "base-uri 'none'",
    ]);
    const html = textOf(answer);
    expect(html.match(/<script/g)).toHaveLength(1);
    expect(script).not.toMatch(/<\/script|<!--/i);
    expect(html).not.toMatch(/ style=| on\w+=|https?:\/\/(?!app\.product\.example)/);
    expect(script).not.toMatch(/localStorage|sessionStorage|cookie|innerHTML|location|eval\(/);
    expect([answer.status, answer.cookies]).toEqual([200, []]);
    expect([(await asked("POST")).status, (await asked("HEAD")).status]).toEqual([405, 405]);
  });

  test("says that something is wrong without saying what", async () => {
    const handler = setupPage(() => {
      throw new Error("secret detail");
    });
    const context = new InvocationContext({ functionName: "setup", logHandler: () => {} });
    const answer = (await handler(
      new HttpRequest({ method: "GET", url: "https://sync.example/setup" }),
      context,
    )) as HttpResponseInit;
    expect(answer.status).toBe(500);
    expect(textOf(answer)).not.toContain("secret");
  });
});

describe("the steps as the API tells them", () => {
  test("carry their calls: each is a route, with nothing of the connection left open", async () => {
    const { steps } = await readSetup();
    for (const step of steps) {
      expect(step.routes.length).toBeGreaterThan(0);
      expect(step.routes.some(({ name }) => name === "settings.change")).toBe(step.fields.length > 0);
      for (const { name, method, path } of step.routes) {
        expect(Object.keys(routes)).toContain(name);
        expect(path.startsWith(base)).toBe(true);
        expect(method).toBe(routes[name as keyof typeof routes].method);
      }
    }
  });

  test("become controls, and these become the very settings again", async () => {
    const { steps } = await readSetup();
    expect(forms.settingsOf(steps, forms.rawsOf(steps))).toEqual(await readSettings());
  });

  test("take what is written into every kind of control", async () => {
    const { steps } = await readSetup();
    const group = "AAAAAAAA-2222-4333-8444-555555555555";
    const raw: Raw = {
      ...forms.rawsOf(steps),
      automatic: false,
      intervalMinutes: " 60 ",
      "people.from": "groups",
      "people.groups": `\n ${group} \n\n`,
      attributes: "Job = jobTitle, clear\nname=displayName\n",
      "guard.offUntil": "",
      "leaving.rule": "remove",
    };
    const settings = Settings.parse(forms.settingsOf(steps, raw));
    expect(settings).toMatchObject({
      automatic: false,
      intervalMinutes: 60,
      people: { from: "groups", groups: [group.toLowerCase()] },
      attributes: { Job: { from: "jobTitle", clear: true }, name: { from: "displayName", clear: false } },
      guard: { offUntil: null },
      leaving: { rule: "remove" },
    });
    // Everything that can be chosen goes out as text and comes back as it was.
    const until = "2030-05-06T07:08:00.000Z";
    const mapping = [{ group: group.toLowerCase(), productGroup: "sales" }];
    const chosen = {
      ...settings,
      guard: { ...settings.guard, offUntil: until },
      groups: { ...settings.groups, mapping },
    };
    const at = (path: string): unknown =>
      path.split(".").reduce<unknown>((value, name) => Reflect.get(value as object, name), chosen);
    const filled = steps.map((step) => ({
      ...step,
      fields: step.fields.map((field) => ({ ...field, value: at(field.path) })),
    }));
    const empty = {
      switch: null,
      instant: null,
      number: "",
      choice: "",
      groups: [],
      "group-mapping": [],
      "attribute-mapping": {},
    };
    const untouched = steps.map((step) => ({
      ...step,
      fields: step.fields.map((field) => ({ ...field, value: empty[field.type] })),
    }));
    expect(forms.settingsOf(untouched, forms.rawsOf(filled))).toEqual(chosen);
  });

  test("name a field once", async () => {
    const { steps } = await readSetup();
    const raw = { ...forms.rawsOf(steps), attributes: "name = displayName\nname = surname" };
    expect(() => forms.settingsOf(steps, raw)).toThrow("name is named twice.");
  });

  test.each<[string, string, string]>([
    ["intervalMinutes", "abc", "automatic"],
    ["intervalMinutes", "4", "automatic"],
    ["people.groups", "no id", "select-groups"],
    ["groups.mapping", "11111111-2222-4333-8444-555555555555 = nobody-offers-this", "group-mapping"],
    ["attributes", "name = noSuchProperty", "attributes"],
    ["guard.share", "", "leaving"],
  ])("lead a refusal of %s (%s) to the field", async (path, text, step) => {
    const { steps, etag } = await readSetup();
    const body = forms.settingsOf(steps, { ...forms.rawsOf(steps), [path]: text });
    const refused = await api.call("PUT", `${base}/settings`, { body, headers: { "if-match": etag } });
    expect(refused.status).toBe(400);
    const place = forms.fieldAt(steps, String(refused.body.field));
    expect([place?.step.id, place?.field.path]).toEqual([step, path]);
  });
});

describe("an administrator in front of the page", () => {
  let page: FakePage;
  const calls: string[] = [];
  const fetch: FakeFetch = async (path, { method, headers, body }) => {
    const url = new URL(path, "https://sync.example");
    const { authorization = "", ...others } = headers;
    calls.push(`${method} ${path}`);
    // The worker is as fast as the page asks.
    if (method === "GET" && /\/runs\/\w+$/.test(path))
      await api.cases.work({ connectionId: id, receivedAt: Date.now() });
    const answer = await api.call(method, url.pathname, {
      token: authorization.replace("Bearer ", ""),
      headers: others,
      query: Object.fromEntries(url.searchParams),
      ...(body === undefined ? {} : { text: body }),
    });
    return { ok: answer.status < 400, status: answer.status, json: () => Promise.resolve(answer.body) };
  };
  const opened = () => openFakePage(script, JSON.stringify([pageOrigin]), fetch);
  const said = (text: string | RegExp) => vi.waitFor(() => expect(page.status()).toMatch(text), { timeout: 10_000 });

  const choose = (label: string, value: string | boolean): void => {
    const control = page.labelled(label);
    if (typeof value === "string") control.value = value;
    else control.checked = value;
    control.fire("change");
  };

  test("is asked for a token, which only the product may send", async () => {
    page = opened();
    expect(page.announced).toEqual([{ data: { type: "setup-ready" }, origin: pageOrigin }]);
    const token = await api.tokenFor("acme");
    page.message("https://attacker.example", { type: "access-token", token });
    page.message(pageOrigin, { type: "another", token });
    page.message(pageOrigin, null);
    expect(calls).toEqual([]);
    page.message(pageOrigin, { type: "access-token", token });
    await vi.waitFor(() => page.labelled("Data connection"), patience);
    expect(calls).toEqual(["GET /api/v1/connections?limit=200"]);
  });

  test("enters it otherwise, chooses the connection and sees the first step", async () => {
    page = opened();
    page.labelled("Access token").value = await api.tokenFor("acme");
    page.form().fire("submit");
    await vi.waitFor(() => page.labelled("Data connection"), patience);
    page.labelled("Data connection").value = id;
    page.form().fire("submit");
    await vi.waitFor(() => expect(page.byId("title").textContent).toBe("Before you begin"), patience);
    expect(page.byId("title").isFocused).toBe(true);
  });

  test("walks through all steps, each with a label for every control", async () => {
    const titles: string[] = [];
    for (;;) {
      const title = page.byId("title").textContent;
      titles.push(title);
      const controls = page.root.all().filter(({ tag }) => ["input", "select", "textarea"].includes(tag));
      const labels = page.root.all().filter(({ tag }) => tag === "label");
      expect(labels.map((label) => label.getAttribute("for")).toSorted()).toEqual(
        controls.map((control) => control.getAttribute("id")).toSorted(),
      );
      if (title === "Test sync") break;
      if (title === "Automatic sync") {
        choose("Synchronise automatically", true);
        choose("Minutes between", "60");
      }
      if (title === "Addresses that stay out") {
        await vi.waitFor(() => expect(page.byId("blacklist").getAttribute("disabled")).toBeNull(), patience);
        page.byId("blacklist").value = "*@outside.example\nada@contoso.example";
      }
      page.form().fire("submit");
      await vi.waitFor(() => expect(page.byId("title").textContent).not.toBe(title), patience);
      await said("Saved.");
    }
    const { steps } = await readSetup();
    expect(titles).toEqual(steps.map((step) => step.title).slice(0, -1));
    expect(steps.filter(({ done }) => !done).map((step) => step.id)).toEqual(["test", "finish"]);
    expect((await readSettings()).intervalMinutes).toBe(60);
    expect((await api.call("GET", `${base}/settings/blacklist`)).body.items).toEqual([
      "*@outside.example",
      "ada@contoso.example",
    ]);
  });

  test("is shown a refusal at its field, and what depends on a choice", async () => {
    page.button("Whose data come").fire("click");
    expect(() => page.labelled("Selected groups")).toThrow("There is no");
    choose("Whose data come", "groups");
    page.labelled("Selected groups");
    page.form().fire("submit");
    await said("At least one group");
    const area = page.labelled("Selected groups");
    expect(area.getAttribute("aria-invalid")).toBe("true");
    expect(page.byId(`${area.getAttribute("id")}-fault`).textContent).toContain("At least one group");
    expect((await readSettings()).people.from).toBe("everybody");
  });

  test("finds groups by name and adds one", async () => {
    page.labelled("Name of a group").value = "Sailors";
    page.button("Find groups").fire("click");
    await vi.waitFor(() => page.button("Add Sailors"), patience);
    page.button("Add Sailors").fire("click");
    expect(page.labelled("Selected groups").value).toBe(sailors);
  });

  test("is told when somebody else has changed the settings, and sees them", async () => {
    const { steps, etag } = await readSetup();
    const body = forms.settingsOf(steps, { ...forms.rawsOf(steps), intervalMinutes: "30" });
    expect((await api.call("PUT", `${base}/settings`, { body, headers: { "if-match": etag } })).status).toBe(200);
    page.form().fire("submit");
    await said("The object has changed since it was read.");
    page.button("Automatic sync").fire("click");
    expect(page.labelled("Minutes between").value).toBe("30");
  });

  test("tests, sees the result, and finishes", async () => {
    await api
      .call("POST", `${base}/settings/steps/finish`, { body: {} })
      .then(({ status, body }) => expect([status, body.field]).toEqual([409, "steps.test"]));
    page.button("Test sync").fire("click");
    page.button("Start the test sync").fire("click");
    await said("The test sync has ended.");
    expect(page.root.textContent).toContain("groupsRead");
    const { tested } = await readSetup();
    expect(tested).not.toBeNull();
    page.form().fire("submit");
    await said("Saved.");
    expect(page.byId("title").textContent).toBe("Finish");
    page.button("Finish").fire("click");
    page.root
      .all()
      .findLast((node) => node.tag === "button" && node.textContent === "Finish")
      ?.fire("click");
    await said("The setup is finished. The first sync starts by ");
    expect((await api.call("GET", base)).body.setup).toBe("finished");
  });

  test("is asked for another token when the first has expired, and goes on where he was", async () => {
    api.advance(3_700_000);
    page.button("When somebody leaves").fire("click");
    choose("Whoever leaves", "remove");
    choose("Days until removal", "45");
    page.form().fire("submit");
    await vi.waitFor(() => page.labelled("Access token"), patience);
    page.labelled("Access token").value = await api.tokenFor("acme");
    page.form().fire("submit");
    await vi.waitFor(() => expect(page.byId("title").textContent).toBe("When somebody leaves"), patience);
    expect(page.labelled("Days until removal").value).toBe("45");
  });
});
