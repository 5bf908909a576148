/* Elements of the page: each control with its label, its help and what is wrong with it. */

const { countsOf } = globalThis.setupForms;

const openControls = (document) => {
  /** Texts are always texts, never markup. Names that begin with `on` are events. */
  const make = (tag, attributes = {}, ...children) => {
    const node = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
      else if (name === "value") node.value = value;
      else if (name === "checked") node.checked = value;
      else if (value === true) node.setAttribute(name, "");
      else if (value !== false && value !== null) node.setAttribute(name, value);
    }
    node.append(...children.filter((child) => child !== null));
    return node;
  };

  const hints = {
    groups: "One object id a line.",
    "group-mapping": "One a line: object id of the group = id of the group of the product.",
    "attribute-mapping":
      "One a line: field = property. With “, clear” at the end the field is emptied with the property.",
  };
  const helpOf = ({ help, type }) => [help, hints[type]].filter(Boolean).join(" ");

  const controlOf = (field, id, { value, fault, onchange }) => {
    const { type, choices, min, max } = field;
    const described = [helpOf(field) === "" ? null : `${id}-help`, fault ? `${id}-fault` : null]
      .filter(Boolean)
      .join(" ");
    const common = {
      id,
      onchange: ({ target }) => onchange(type === "switch" ? target.checked : target.value),
      "aria-describedby": described || null,
      "aria-invalid": fault ? "true" : null,
    };
    if (type === "switch") return make("input", { ...common, type: "checkbox", checked: value });
    if (type === "choice") {
      const options = choices.map(({ value: choice, label }) =>
        make("option", { value: choice, selected: choice === value }, label),
      );
      return make("select", { ...common, value }, ...options);
    }
    if (type === "number") return make("input", { ...common, type: "number", min, max, value });
    if (type === "instant") return make("input", { ...common, type: "datetime-local", value });
    return make("textarea", { ...common, rows: "8", spellcheck: "false", value });
  };

  /** `held`: what the control holds, what is wrong with it (or null), and who is told of a change. */
  const fieldRow = (field, held) => {
    const id = `field-${field.path}`;
    const help = helpOf(field);
    return make(
      "p",
      {},
      make("label", { for: id }, field.label),
      " ",
      controlOf(field, id, held),
      help === "" ? null : make("small", { id: `${id}-help` }, ` ${help}`),
      held.fault ? make("strong", { id: `${id}-fault` }, ` ${held.fault}`) : null,
    );
  };

  const listing = (title, items) => make("details", {}, make("summary", {}, title), make("ul", {}, ...items));

  const result = (run) =>
    make(
      "dl",
      {},
      ...[
        ["Phase", run.phase],
        ["Outcome", run.failure ?? run.outcome ?? "under way"],
        ...countsOf(run),
        ["Warnings", run.warnings.map(({ code }) => code).join(", ") || "none"],
        ["Plan", run.planHash ?? "none yet"],
        ...(run.mail ? [["Mail", [run.mail.state, run.mail.reason].filter(Boolean).join(": ")]] : []),
      ].flatMap(([term, value]) => [make("dt", {}, String(term)), make("dd", {}, String(value))]),
    );

  return { make, fieldRow, listing, result };
};

globalThis.setupControls = { openControls };
