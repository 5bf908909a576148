/*
 * From the steps of the setup to forms and back, without page or network: what GET .../settings/steps says becomes what controls
 * hold, and what they hold becomes the body of PUT .../settings.
 */

/** What a control holds: true or false for a switch, text for everything else. */
function rawOf({ type, value }) {
  if (type === "switch") return value;
  if (type === "groups") return value.join("\n");
  if (type === "group-mapping") return value.map(({ group, productGroup }) => `${group} = ${productGroup}`).join("\n");
  if (type === "attribute-mapping")
    return Object.entries(value)
      .map(([field, { from, clear }]) => `${field} = ${from}${clear ? ", clear" : ""}`)
      .join("\n");
  if (type === "instant") return value === null ? "" : localTime(new Date(value));
  return String(value);
}

/** The value to send; what is no number or no instant is sent as it is, for the API to say what is wrong with it. */
function valueOf({ type }, raw) {
  if (type === "groups") return linesOf(raw);
  if (type === "group-mapping")
    return linesOf(raw).map((line) => {
      const [group, productGroup] = halvesOf(line);
      return { group, productGroup };
    });
  if (type === "attribute-mapping") {
    const entries = linesOf(raw).map((line) => {
      const [field, rest] = halvesOf(line);
      const clear = /,\s*clear$/.test(rest);
      return [field, { from: rest.replace(/,\s*clear$/, "").trim(), clear }];
    });
    const names = entries.map(([name]) => name);
    const twice = names.find((name, index) => names.indexOf(name) !== index);
    if (twice !== undefined) throw new Error(`${twice} is named twice.`);
    return Object.fromEntries(entries);
  }
  if (type === "number") return /^\d+$/.test(raw.trim()) ? Number(raw) : raw;
  if (type === "instant") {
    if (raw === "") return null;
    const time = new Date(raw);
    return Number.isNaN(time.getTime()) ? raw : time.toISOString();
  }
  return raw;
}

function linesOf(text) {
  return text
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "");
}

function halvesOf(line) {
  const at = line.indexOf("=");
  return at < 0 ? [line, ""] : [line.slice(0, at).trim(), line.slice(at + 1).trim()];
}

/** As an input for date and time wants it: without a zone, because it is the reader's. */
function localTime(time) {
  return new Date(time.getTime() - time.getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
}

/** The whole settings, from what the controls of all steps hold. */
function settingsOf(steps, raw) {
  const settings = {};
  for (const field of steps.flatMap(({ fields }) => fields)) {
    const names = field.path.split(".");
    const last = names.pop();
    let at = settings;
    for (const name of names) at = at[name] ??= {};
    // What nobody has touched goes back exactly as it came.
    at[last] = raw[field.path] === rawOf(field) ? field.value : valueIn(field, raw[field.path]);
  }
  return settings;
}

function valueIn(field, raw) {
  try {
    return valueOf(field, raw);
  } catch (error) {
    throw Object.assign(error, { field: field.path });
  }
}

function rawsOf(steps) {
  return Object.fromEntries(steps.flatMap(({ fields }) => fields.map((field) => [field.path, rawOf(field)])));
}

function isShown({ depends }, raw) {
  return depends === null || raw[depends.path] === depends.is;
}

/** The field that a problem is about: its path, or what stands below it. */
function fieldAt(steps, at = "") {
  const fields = steps.flatMap((step) => step.fields.map((field) => ({ step, field })));
  return fields.find(({ field: { path } }) => at === path || at.startsWith(`${path}.`)) ?? null;
}

function callOf(step, name) {
  return step.routes.find((route) => route.name === name) ?? null;
}

function sentenceOf({ title, detail, advice, message }) {
  return [title ?? message, detail, advice].filter(Boolean).join(" ");
}

/** What a run counted, without what counted nothing. */
function countsOf({ counts }) {
  return Object.entries(counts).filter(([, count]) => count > 0);
}

globalThis.setupForms = { rawOf, rawsOf, valueOf, settingsOf, linesOf, isShown, fieldAt, callOf, sentenceOf, countsOf };
