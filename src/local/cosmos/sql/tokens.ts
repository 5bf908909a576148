import { badRequest } from "../errors.ts";

export type Token =
  | { kind: "word"; text: string; at: number }
  | { kind: "parameter"; text: string; at: number }
  | { kind: "string"; value: string; text: string; at: number }
  | { kind: "number"; value: number; text: string; at: number }
  | { kind: "symbol"; text: string; at: number }
  | { kind: "end"; text: string; at: number };

const pattern =
  /\s+|(?<word>[A-Za-z_]\w*)|(?<parameter>@\w+)|(?<number>-?(?:\d+(?:\.\d+)?|\.\d+)(?:[eE][+-]?\d+)?)|(?<string>'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")|(?<symbol><=|>=|!=|<>|[=<>().,*[\]])/y;

export const tokensOf = (text: string): Token[] => {
  const tokens: Token[] = [];
  let at = 0;
  while (at < text.length) {
    pattern.lastIndex = at;
    const match = pattern.exec(text);
    if (!match) throw badRequest(`Query not understood at character ${at}: ${text.slice(at, at + 20)}`);
    const { word, parameter, number, string, symbol } = match.groups ?? {};
    if (word !== undefined) tokens.push({ kind: "word", text: word, at });
    else if (parameter !== undefined) tokens.push({ kind: "parameter", text: parameter, at });
    else if (number !== undefined) tokens.push({ kind: "number", value: Number(number), text: number, at });
    else if (string !== undefined) tokens.push({ kind: "string", value: unescaped(string), text: string, at });
    else if (symbol !== undefined) tokens.push({ kind: "symbol", text: symbol, at });
    at = pattern.lastIndex;
  }
  tokens.push({ kind: "end", text: "the end", at });
  return tokens;
};

/** Escapes are those of JSON, and `\'`. */
const unescaped = (literal: string): string => {
  const inside = literal.slice(1, -1);
  if (!inside.includes("\\")) return inside;
  try {
    const asJson = inside.replace(/\\.|"/g, (found) => (found === '"' ? '\\"' : found === "\\'" ? "'" : found));
    return String(JSON.parse(`"${asJson}"`));
  } catch {
    throw badRequest(`The string ${literal} holds an unknown escape.`);
  }
};
