/**
 * What the product leaves behind, taken apart into what anybody can read and what is sealed, and a search for words in both.
 *
 * A word is looked for as it is, in small and capital letters, escaped, percent-encoded, and as hex or base64 of its bytes in
 * UTF-8 and UTF-16 at each of the three alignments; an object id also as the sixteen bytes it stands for.
 */

/** A piece of text anybody can read, and where it stands. */
export interface Trace {
  where: string;
  text: string;
}

/** A text that claims to be sealed. `payload` is nonce, ciphertext and tag. */
export interface SealedTrace {
  where: string;
  payload: Buffer;
}

export interface Traces {
  clear: Trace[];
  sealed: SealedTrace[];
}

/** `1.<key id>.<base64url of 12 bytes, the ciphertext, 16 bytes>` and nothing around it. */
const sealedForm = /^1\.([A-Za-z0-9_-]{1,40})\.([A-Za-z0-9_-]{40,})$/;

/** Every key and value of a JSON value, also of JSON inside a text, which is how the change log keeps its entries. */
const takeApart = (value: unknown, where: string, into: Traces = { clear: [], sealed: [] }): Traces => {
  if (typeof value === "string") {
    const inner = structureIn(value);
    const [, keyId, encoded = ""] = sealedForm.exec(value) ?? [];
    const payload = Buffer.from(encoded, "base64url");
    if (inner !== null) takeApart(inner, where, into);
    else if (keyId !== undefined && payload.toString("base64url") === encoded) {
      into.clear.push({ where, text: keyId });
      into.sealed.push({ where, payload });
    } else into.clear.push({ where, text: value });
  } else if (Array.isArray(value)) for (const item of value) takeApart(item, where, into);
  else if (typeof value === "object" && value !== null)
    for (const [name, field] of Object.entries(value)) {
      into.clear.push({ where, text: name });
      takeApart(field, `${where}.${name}`, into);
    }
  else into.clear.push({ where, text: String(value) });
  return into;
};

const structureIn = (text: string): object | null => {
  if (!/^\s*[[{]/.test(text)) return null;
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" ? value : null;
  } catch {
    return null;
  }
};

export interface StoredDocument {
  container: string;
  partitionKey: string;
  document: { id: string } & Record<string, unknown>;
}

/** All that a database server holds: one document a line. */
export const dumpOf = async ({ endpoint, key }: { endpoint: string; key: string }): Promise<string> =>
  (await fetch(`${endpoint}/_control/dump`, { headers: { "x-control-key": key } })).text();

/** A dump of the database server: one document a line. */
export const documentsIn = (dump: string): StoredDocument[] =>
  dump
    .split("\n")
    .filter(Boolean)
    .map((line) => JSON.parse(line) as StoredDocument);

export const tracesOf = (documents: readonly StoredDocument[]): Traces => {
  const traces: Traces = { clear: [], sealed: [] };
  for (const { container, partitionKey, document } of documents) {
    const where = `${container}/${document.id}`;
    traces.clear.push({ where, text: partitionKey });
    takeApart(document, where, traces);
  }
  return traces;
};

/**
 * Shorter words are only looked for as whole values. A pseudonym is text of 64 signs: one megabyte of them holds a given word of
 * six letters once in 70,000 times, and with a thousand words and many runs "once" happens; with seven it is one in four million.
 */
const shortestPart = 7;

const variants = (word: string): Set<string> => new Set([word, word.toLowerCase(), word.toUpperCase()]);

/** All texts in which a word could be hidden without a key. */
const formsOf = (word: string): Set<string> => {
  const forms = new Set<string>();
  for (const text of variants(word)) {
    forms.add(text);
    forms.add(JSON.stringify(text).slice(1, -1));
    forms.add(text.replace(/[^\x20-\x7e]/g, (sign) => `\\u${sign.charCodeAt(0).toString(16).padStart(4, "0")}`));
    forms.add(encodeURIComponent(text.toWellFormed()));
    for (const bytes of [Buffer.from(text, "utf8"), Buffer.from(text, "utf16le")]) addBytes(forms, bytes);
  }
  const id = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(word) ? word.replaceAll("-", "").toLowerCase() : "";
  if (id !== "") {
    const bytes = Buffer.from(id, "hex");
    // As .NET writes a Guid: its first three parts turned round.
    const turned = Buffer.concat([
      bytes.subarray(0, 4).toReversed(),
      bytes.subarray(4, 6).toReversed(),
      bytes.subarray(6, 8).toReversed(),
      bytes.subarray(8),
    ]);
    for (const form of [Buffer.from(id, "hex"), turned]) addBytes(forms, form);
  }
  return forms;
};

const addBytes = (forms: Set<string>, bytes: Buffer): void => {
  forms.add(bytes.toString("latin1"));
  forms.add(bytes.toString("hex"));
  forms.add(bytes.toString("hex").toUpperCase());
  for (const shift of [0, 1, 2]) {
    const encoded = Buffer.concat([Buffer.alloc(shift), bytes]).toString("base64url");
    // The signs at the edges depend on what stands around the word as well.
    const inside = encoded.slice(Math.ceil((shift * 8) / 6), Math.floor(((shift + bytes.length) * 8) / 6));
    forms.add(inside);
    forms.add(inside.replaceAll("-", "+").replaceAll("_", "/"));
  }
};

export interface Finder {
  /** Words that are in the text in whatever form; `whole`: also short words, when they are all of it. */
  wordsIn(text: string): string[];
  /** `<where>: <word>` for each hit, the first few of them. */
  among(traces: readonly Trace[]): string[];
  inside(sealed: readonly SealedTrace[]): string[];
}

const mostReported = 20;

/** `shortest`: of the parts of a text that are compared; words and forms below it count only as whole values. */
export const finderOf = (words: Iterable<string>, shortest = shortestPart): Finder => {
  const whole = new Map<string, string>();
  const byStart = new Map<string, { form: string; word: string }[]>();
  for (const word of words) {
    for (const text of variants(word)) whole.set(text, word);
    if (word.length < shortest) continue;
    for (const form of formsOf(word)) {
      if (form.length < shortest) continue;
      const start = form.slice(0, shortest);
      const known = byStart.get(start);
      if (known) known.push({ form, word });
      else byStart.set(start, [{ form, word }]);
    }
  }
  const wordsIn = (text: string): string[] => {
    const found = new Set<string>();
    const same = whole.get(text);
    if (same !== undefined) found.add(same);
    for (let at = 0; at + shortest <= text.length; at++)
      for (const { form, word } of byStart.get(text.slice(at, at + shortest)) ?? [])
        if (text.startsWith(form, at)) found.add(word);
    return [...found];
  };
  const report = (pieces: Iterable<Trace>): string[] => {
    const hits: string[] = [];
    for (const { where, text } of pieces) {
      for (const word of wordsIn(text)) hits.push(`${where}: ${word}`);
      if (hits.length >= mostReported) break;
    }
    return hits.slice(0, mostReported);
  };
  return {
    wordsIn,
    among: report,
    inside: (sealed) => report(sealed.map(({ where, payload }) => ({ where, text: payload.toString("latin1") }))),
  };
};
