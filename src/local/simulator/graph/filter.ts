/**
 * The part of OData `$filter` that the directory lists understand. What Graph answers only with the header
 * `ConsistencyLevel: eventual` and `$count=true` is marked as advanced; what the simulator does not know is refused.
 */
import { unsupportedQuery } from "./errors.ts";
import type { EntityType } from "./properties.ts";

export interface Filter {
  matches(id: string, properties: Record<string, unknown>): boolean;
  advanced: boolean;
  /** The ids when the filter is nothing but `id eq`, joined by `or`, or `id in (...)`. */
  ids: string[] | null;
}

type Literal = string | boolean | number | null;
type Test = (id: string, properties: Record<string, unknown>) => boolean;
const endsWithProperties = new Set(["mail", "otherMails", "userPrincipalName", "proxyAddresses"]);

export const parseFilter = (text: string, type: EntityType): Filter => {
  const tokens = tokenize(text);
  let at = 0;
  let advanced = false;
  let onlyIds = true;
  const ids: string[] = [];

  const peek = (): string => tokens[at]?.toLowerCase() ?? "";
  const take = (): string => tokens[at++] ?? refuse(text);
  const expect = (word: string): void => {
    if (take().toLowerCase() !== word) refuse(text);
  };
  const property = (): string => {
    const word = take();
    return type.properties.get(word.toLowerCase())?.name ?? refuse(text);
  };
  const either = (): Test => {
    const parts = [both()];
    while (peek() === "or") {
      at++;
      parts.push(both());
    }
    return (id, held) => parts.some((part) => part(id, held));
  };
  const both = (): Test => {
    const parts = [one()];
    while (peek() === "and") {
      at++;
      onlyIds = false;
      parts.push(one());
    }
    return (id, held) => parts.every((part) => part(id, held));
  };
  const one = (): Test => {
    if (peek() === "(") {
      at++;
      const inner = either();
      expect(")");
      return inner;
    }
    if (peek() === "not") {
      at++;
      advanced = true;
      onlyIds = false;
      const inner = one();
      return (id, held) => !inner(id, held);
    }
    return peek() === "startswith" || peek() === "endswith" ? edge() : comparison();
  };
  const edge = (): Test => {
    const atEnd = take().toLowerCase() === "endswith";
    onlyIds = false;
    expect("(");
    const name = property();
    expect(",");
    const sought = String(literal(take(), text)).toLowerCase();
    expect(")");
    if (atEnd && !endsWithProperties.has(name)) throw unsupportedQuery(`endsWith is not supported for '${name}'.`);
    advanced ||= atEnd;
    const fits = (found: unknown): boolean =>
      Array.isArray(found)
        ? found.some(fits)
        : typeof found === "string" && found.toLowerCase()[atEnd ? "endsWith" : "startsWith"](sought);
    return (id, held) => fits(value(id, held, name));
  };
  const comparison = (): Test => {
    const name = property();
    if (name !== "id") onlyIds = false;
    const operator = take().toLowerCase();
    if (operator === "/") return any(name);
    if (operator === "in") {
      expect("(");
      const sought = [literal(take(), text)];
      while (peek() === ",") {
        at++;
        sought.push(literal(take(), text));
      }
      expect(")");
      if (name === "id") ids.push(...sought.map((each) => String(each).toLowerCase()));
      return (id, held) => sought.some((each) => same(value(id, held, name), each));
    }
    const sought = literal(take(), text);
    if (operator === "ne") {
      advanced = true;
      onlyIds = false;
      return (id, held) => !same(value(id, held, name), sought);
    }
    if (operator !== "eq") refuse(text);
    if (name === "id") ids.push(String(sought).toLowerCase());
    return (id, held) => same(value(id, held, name), sought);
  };
  /** `groupTypes/any(c:c eq 'Unified')` */
  const any = (name: string): Test => {
    expect("any");
    expect("(");
    const variable = take();
    expect(":");
    expect(variable.toLowerCase());
    expect("eq");
    const sought = literal(take(), text);
    expect(")");
    return (_id, held) => {
      const found = held[name];
      return Array.isArray(found) && found.some((each) => same(each, sought));
    };
  };

  const test = either();
  if (at !== tokens.length) refuse(text);
  return { matches: test, advanced, ids: onlyIds ? [...new Set(ids)] : null };
};

const value = (id: string, properties: Record<string, unknown>, name: string): unknown =>
  name === "id" ? id : properties[name];

/** Text is compared without regard to case; a property that was never set equals null. */
const same = (found: unknown, sought: Literal): boolean =>
  typeof found === "string" && typeof sought === "string"
    ? found.toLowerCase() === sought.toLowerCase()
    : (found ?? null) === sought;

const literal = (token: string, text: string): Literal => {
  if (token.startsWith("'")) return token.slice(1, -1).replaceAll("''", "'");
  if (token === "true" || token === "false") return token === "true";
  if (token === "null") return null;
  return /^\d+$/.test(token) ? Number(token) : refuse(text);
};

const tokenize = (text: string): string[] => {
  const tokens: string[] = [];
  const pattern = /\s*('(?:[^']|'')*'|[A-Za-z_][\w.]*|\d+|[(),:/])/y;
  let end = 0;
  for (let match = pattern.exec(text); match?.[1] !== undefined; match = pattern.exec(text)) {
    tokens.push(match[1]);
    end = pattern.lastIndex;
  }
  if (text.slice(end).trim() !== "") refuse(text);
  return tokens;
};

const refuse = (text: string): never => {
  throw unsupportedQuery(`Invalid or unsupported filter clause: '${text}'.`);
};
