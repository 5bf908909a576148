/**
 * `$search` on users and groups: clauses `"property:text"`, joined by AND and OR, which bind as in `$filter`. Names and descriptions
 * are found by whole words, everything else from its beginning. What the documents leave open is refused here.
 * https://learn.microsoft.com/graph/search-query-parameter
 */
import { badRequest, unsupportedQuery } from "./errors.ts";
import type { EntityType } from "./properties.ts";

export type Search = (properties: Record<string, unknown>) => boolean;

const tokenised = new Set(["displayName", "description"]);
const searchable: Partial<Record<EntityType["name"], readonly string[]>> = {
  user: ["displayName", "givenName", "surname", "mail", "mailNickname", "userPrincipalName"],
  group: ["displayName", "description", "mail", "mailNickname"],
};

export const parseSearch = (text: string, type: EntityType): Search => {
  const tokens = tokenize(text);
  let at = 0;
  const joined = (word: "AND" | "OR", part: () => Search, join: (parts: Search[]) => Search): Search => {
    const parts = [part()];
    while (tokens[at] === word) {
      at++;
      parts.push(part());
    }
    return join(parts);
  };
  const either = (): Search => joined("OR", both, (parts) => (properties) => parts.some((part) => part(properties)));
  const both = (): Search => joined("AND", one, (parts) => (properties) => parts.every((part) => part(properties)));
  const one = (): Search => {
    const token = tokens[at++] ?? refuse();
    if (token !== "(") return token.startsWith('"') ? clause(token, type) : refuse();
    const inner = either();
    if (tokens[at++] !== ")") refuse();
    return inner;
  };
  const search = either();
  if (at !== tokens.length) refuse();
  return search;
};

const tokenize = (text: string): string[] => {
  const tokens: string[] = [];
  const pattern = /\s*("(?:[^"\\]|\\["\\])*"|AND\b|OR\b|[()])/y;
  let end = 0;
  for (let match = pattern.exec(text); match?.[1] !== undefined; match = pattern.exec(text)) {
    tokens.push(match[1]);
    end = pattern.lastIndex;
  }
  if (text.slice(end).trim() !== "") refuse();
  return tokens;
};

const clause = (token: string, type: EntityType): Search => {
  const content = token.slice(1, -1).replaceAll(/\\(["\\])/g, "$1");
  const colon = content.indexOf(":");
  const name = searchable[type.name]?.find((each) => each.toLowerCase() === content.slice(0, colon).toLowerCase());
  const sought = content
    .slice(colon + 1)
    .trim()
    .toLowerCase();
  if (colon < 0 || name === undefined) throw unsupportedQuery("The property cannot be searched.");
  // Known to fail, however it is encoded.
  if (sought === "" || sought.includes("&")) refuse();
  if (!tokenised.has(name)) return (properties) => textOf(properties[name]).toLowerCase().startsWith(sought);
  const words = wordsOf(content.slice(colon + 1));
  return (properties) => {
    const found = new Set(wordsOf(textOf(properties[name])));
    return words.length > 0 && words.every((word) => found.has(word));
  };
};

/** `R&D OneVideo42` -> r, d, one, video, 42. */
const wordsOf = (text: string): string[] =>
  [...text.matchAll(/\p{Lu}*[\p{Ll}\p{Lo}\p{Lt}\p{Lm}\p{M}]+|\p{Lu}+|\p{N}+/gu)].map(([word]) => word.toLowerCase());

const textOf = (value: unknown): string => (typeof value === "string" ? value : "");

const refuse = (): never => {
  throw badRequest("Syntax error in the value of '$search'.");
};
