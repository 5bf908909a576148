/*
 * The reference page for the setup, as plain as a front end for it can be: what it shows and sends it has from
 * GET .../settings/steps. The token stays in a variable. The page's policy allows these scripts and calls of this origin, nothing else.
 */

const { openClient } = globalThis.setupClient;
const { openControls } = globalThis.setupControls;
const { rawsOf, settingsOf, linesOf, isShown, fieldAt, callOf, sentenceOf } = globalThis.setupForms;

const later = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

const startSetup = ({ document, window, fetch }) => {
  const { make, fieldRow, listing, result } = openControls(document);
  const root = document.getElementById("setup");
  const status = document.getElementById("status");
  const say = (text) => {
    status.textContent = text;
  };
  const client = openClient(fetch);
  const { call, pages } = client;
  let connection = null;
  let setup = null;
  let raw = {};
  let current = null;
  let fault = null;
  let connections = [];
  let lastRun = null;
  let focused = null;

  const below = (rest) => `/api/v1/connections/${encodeURIComponent(connection)}${rest}`;

  /** Does it, and shows what became of it: at the field, or in the line that is read out. */
  const attempt = async (what, work) => {
    fault = null;
    say(what);
    try {
      say((await work()) ?? "");
    } catch (error) {
      const place = setup && fieldAt(setup.steps, error.field);
      fault = place && { path: place.field.path, text: error.detail ?? sentenceOf(error) };
      if (place && isShown(place.step, raw)) current = place.step.id;
      if (error.code === "etag-mismatch") await load().catch(() => undefined);
      say(sentenceOf(error));
    }
    show();
  };

  const take = (view) => {
    setup = view;
    raw = rawsOf(view.steps);
    current ??= (view.steps.find(({ done }) => !done) ?? view.steps[0]).id;
  };
  const load = async () => take(await call("GET", below("/settings/steps")));

  const accept = (token, chosen) =>
    attempt("Reading the connection.", async () => {
      client.use(token);
      // A new token for what is open: what has been entered and not saved stays.
      if (setup !== null && (chosen ?? connection) === connection) return "Please go on.";
      connection = chosen ?? connection;
      lastRun = null;
      if (connection === null) connections = await pages("/api/v1/connections");
      else await load();
      return "";
    });

  const open = (chosen) =>
    attempt("Reading the connection.", async () => {
      connection = chosen;
      await load();
    });

  const steps = () => setup.steps.filter((step) => isShown(step, raw));
  const next = () => {
    const all = steps();
    current = (all[all.findIndex(({ id }) => id === current) + 1] ?? all.at(-1)).id;
  };

  const save = (step, work = async () => undefined) =>
    attempt("Saving.", async () => {
      const settings = settingsOf(setup.steps, raw);
      const unchanged = JSON.stringify(settings) === JSON.stringify(settingsOf(setup.steps, rawsOf(setup.steps)));
      if (!unchanged) setup.etag = (await call("PUT", below("/settings"), settings, setup.etag)).etag;
      await work();
      take(await call("PUT", below(`/settings/steps/${step.id}`), { done: true }));
      next();
      return "Saved.";
    });

  const tokenForm = () => {
    const input = make("input", { id: "token", type: "password", autocomplete: "off", required: true });
    const submit = (event) => {
      event.preventDefault();
      void accept(input.value.trim());
    };
    return make(
      "form",
      { onsubmit: submit },
      make("label", { for: "token" }, "Access token of the product"),
      input,
      make("p", {}, make("small", {}, "It is kept until this page is closed, and nowhere else.")),
      make("button", {}, "Continue"),
    );
  };

  const connectionForm = () => {
    const options = connections.map(({ id, displayName }) => make("option", { value: id }, displayName));
    const select = make("select", { id: "connection" }, ...options);
    const submit = (event) => {
      event.preventDefault();
      void open(select.value || connections[0]?.id);
    };
    return make(
      "form",
      { onsubmit: submit },
      make("label", { for: "connection" }, "Data connection"),
      select,
      make("button", {}, "Continue"),
    );
  };

  const decides = (path) =>
    setup.steps.some((step) => [step, ...step.fields].some(({ depends }) => depends?.path === path));
  const rowOf = (field) =>
    fieldRow(field, {
      value: raw[field.path],
      fault: fault?.path === field.path ? fault.text : null,
      onchange: (value) => {
        raw[field.path] = value;
        if (decides(field.path)) show();
      },
    });

  const groupSearch = (step) => {
    const target = step.fields.find(({ type }) => type === "groups" || type === "group-mapping");
    const route = callOf(step, "groups.search");
    if (!target || !route || !isShown(target, raw)) return null;
    const found = make("ul", {});
    const add = (id) => {
      raw[target.path] = [...linesOf(raw[target.path]), target.type === "groups" ? id : `${id} = `].join("\n");
      show();
    };
    const search = async () => {
      try {
        const { items } = await call(route.method, route.path, { text: input.value.trim(), limit: 20 });
        const rows = items.map(({ id, displayName }) =>
          make("li", {}, make("button", { type: "button", onclick: () => add(id) }, `Add ${displayName ?? id}`)),
        );
        found.replaceChildren(...rows);
        say(`${items.length} found.`);
      } catch (error) {
        say(sentenceOf(error));
        if (!client.hasToken()) show();
      }
    };
    const enter = (event) => {
      if (event.key !== "Enter") return;
      // It would save the step.
      event.preventDefault();
      void search();
    };
    const input = make("input", { id: "search", type: "search", autocomplete: "off", onkeydown: enter });
    const button = make("button", { type: "button", onclick: () => void search() }, "Find groups");
    return make("div", {}, make("label", { for: "search" }, "Name of a group"), " ", input, " ", button, found);
  };

  const lists = (step) => {
    const properties = step.fields.find(({ type }) => type === "attribute-mapping")?.choices ?? null;
    if (properties)
      return listing(
        "Properties",
        properties.map(({ value, label }) => make("li", {}, make("code", {}, value), ` ${label}`)),
      );
    const offered = callOf(step, "product-groups.list");
    if (!offered) return null;
    const details = listing("Groups of the product", []);
    const fill = async () => {
      const rows = (await pages(offered.path)).map(({ id, name }) => make("li", {}, make("code", {}, id), ` ${name}`));
      details.append(make("ul", {}, ...rows));
    };
    void fill().catch((error) => say(sentenceOf(error)));
    return details;
  };

  const blacklist = (step) => {
    const read = callOf(step, "settings.blacklist");
    const replace = callOf(step, "settings.blacklist-replace");
    if (!read || !replace) return null;
    const area = make("textarea", { id: "blacklist", rows: "8", spellcheck: "false", disabled: true });
    let stored = null;
    const fill = async () => {
      stored = (await pages(read.path)).join("\n");
      area.value = stored;
      area.removeAttribute("disabled");
    };
    void fill().catch((error) => say(sentenceOf(error)));
    const store = async () => {
      if (stored === null || area.value === stored) return;
      await call(replace.method, replace.path, { entries: linesOf(area.value) }, setup.etag);
    };
    const label = make("label", { for: "blacklist" }, "One address or *@domain a line");
    return { store, node: make("p", {}, label, " ", area) };
  };

  const testing = (step) => {
    const mail = make("input", { id: "mail", type: "checkbox" });
    const shown = make("div", {});
    const start = () =>
      attempt("The test sync has begun.", async () => {
        const { method, path } = callOf(step, "runs.request");
        let run = await call(method, path, { mode: "dry-run", mail: mail.checked === true });
        for (; run.phase !== "ended"; run = await call("GET", `${path}/${run.id}`)) {
          shown.replaceChildren(result(run));
          await later(1500);
        }
        await load();
        lastRun = run;
        return run.outcome === "dry-run" ? "The test sync has ended." : "The test sync has failed.";
      });
    return make(
      "div",
      {},
      make("p", {}, mail, " ", make("label", { for: "mail" }, "Mail the result to the administrator")),
      make("button", { type: "button", onclick: () => void start() }, "Start the test sync"),
      shown,
      lastRun ? result(lastRun) : null,
    );
  };

  const finishing = (step) => {
    const without = make("input", { id: "without", type: "checkbox" });
    const finish = () =>
      attempt("Finishing.", async () => {
        const { method, path } = callOf(step, "settings.finish");
        take(await call(method, path, { withoutTest: without.checked === true }));
        return setup.nextSyncAt === null
          ? "The setup is finished. No sync starts by itself."
          : `The setup is finished. The first sync starts by ${new Date(setup.nextSyncAt).toLocaleString()}.`;
      });
    return make(
      "div",
      {},
      setup.tested
        ? null
        : make("p", {}, without, " ", make("label", { for: "without" }, "Finish without a test sync")),
      make("button", { type: "button", onclick: () => void finish() }, setup.finished ? "Finished" : "Finish"),
    );
  };

  const section = (step) => {
    const listed = blacklist(step);
    const submit = (event) => {
      event.preventDefault();
      void save(step, listed?.store);
    };
    return make(
      "form",
      { onsubmit: submit, novalidate: true },
      make(
        "fieldset",
        {},
        make("legend", { tabindex: "-1", id: "title" }, step.title),
        make("p", {}, step.text),
        step.problem === null ? null : make("p", {}, make("strong", {}, step.problem)),
        ...step.fields.filter((field) => isShown(field, raw)).map(rowOf),
        groupSearch(step),
        lists(step),
        listed?.node ?? null,
        step.id === "test" ? testing(step) : null,
        step.id === "finish" ? finishing(step) : make("button", {}, "Save and continue"),
      ),
    );
  };

  const navigation = () =>
    make(
      "nav",
      { "aria-label": "Steps" },
      make(
        "ol",
        {},
        ...steps().map((step) => {
          const go = () => {
            current = step.id;
            show();
          };
          const text = `${step.title}${step.done ? " (done)" : ""}${step.problem === null ? "" : " (!)"}`;
          const here = step.id === current ? "step" : null;
          return make("li", {}, make("button", { type: "button", "aria-current": here, onclick: go }, text));
        }),
      ),
    );

  const show = () => {
    const active = document.activeElement?.id;
    if (!client.hasToken()) root.replaceChildren(tokenForm());
    else if (setup === null) root.replaceChildren(connectionForm());
    else {
      const step = steps().find(({ id }) => id === current) ?? setup.steps[0];
      root.replaceChildren(navigation(), section(step));
      // Whoever does not see the page is taken to what is new on it, and stays at what was there before.
      document.getElementById(focused === step.id && active ? active : "title")?.focus();
      focused = step.id;
    }
  };

  // Only from a page of the product that may call the API itself; it opened this page, or it gets no answer.
  const origins = JSON.parse(root.getAttribute("data-origins"));
  window.addEventListener("message", ({ origin, data }) => {
    if (!origins.includes(origin) || data?.type !== "access-token" || typeof data.token !== "string") return;
    void accept(data.token, typeof data.connection === "string" ? data.connection : null);
  });
  for (const origin of origins) window.opener?.postMessage({ type: "setup-ready" }, origin);
  show();
};

startSetup({ document, window, fetch: window.fetch.bind(window) });
