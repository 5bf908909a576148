/**
 * The part of the service's SQL that the product uses. Everything else is refused by name: a query that a stand-in answers by
 * guessing would fail, or cost a scan, on the real service.
 */
import { badRequest } from "../errors.ts";
import type { Scalar } from "../index-key.ts";
import { type Comparison, type Condition, negate, type Path } from "./condition.ts";
import { type Token, tokensOf } from "./tokens.ts";

export interface Query {
  select: Select;
  top: number | null;
  where: Condition | null;
  orderBy: { path: Path; descending: boolean } | null;
}

export type Select =
  | { kind: "document" }
  | { kind: "value"; path: Path }
  | { kind: "fields"; fields: { name: string; path: Path }[] }
  /** `path` is null for COUNT(1). */
  | { kind: "aggregate"; aggregate: Aggregate; path: Path | null };

export type Aggregate = "COUNT" | "MIN" | "MAX" | "SUM";
export type Parameters = ReadonlyMap<string, unknown>;

type Operand = { path: Path } | { constant: Scalar | Scalar[] };

const aggregates: readonly string[] = ["COUNT", "MIN", "MAX", "SUM"] satisfies Aggregate[];
const flipped: Record<Comparison, Comparison> = { "=": "=", "!=": "!=", "<": ">", "<=": ">=", ">": "<", ">=": "<=" };
const notPaths = new Set(["SELECT", "VALUE", "FROM", "WHERE", "ORDER", "BY", "AND", "OR", "NOT", "IN", "BETWEEN"]);

export const parseQuery = (text: string, parameters: Parameters): Query => new Parser(text, parameters).query();

/** `FROM c WHERE ...`, the condition of a patch: it may name any property, since one document is looked at. */
export const parseCondition = (text: string): Condition => new Parser(text, new Map()).condition();

class Parser {
  readonly #tokens: Token[];
  readonly #parameters: Parameters;
  #at = 0;
  #alias = "";

  constructor(text: string, parameters: Parameters) {
    this.#tokens = tokensOf(text);
    this.#parameters = parameters;
  }

  query(): Query {
    this.#expectWord("SELECT");
    // FROM stands behind the select list but names the alias the list uses.
    const listAt = this.#at;
    while (!this.#isWord("FROM")) {
      if (this.#peek().kind === "end") throw this.#refused("a query has to say FROM");
      this.#at++;
    }
    const fromAt = this.#at;
    this.#from();
    const behindFrom = this.#at;
    this.#at = listAt;
    const top = this.#takeWord("TOP") ? this.#wholeNumber() : null;
    const select = this.#select();
    if (this.#at !== fromAt) throw this.#refused("not part of the supported SELECT list");
    this.#at = behindFrom;
    const where = this.#takeWord("WHERE") ? this.#or() : null;
    const orderBy = this.#takeWord("ORDER") ? this.#orderBy() : null;
    this.#expectEnd();
    return { select, top, where, orderBy };
  }

  condition(): Condition {
    this.#from();
    this.#expectWord("WHERE");
    const condition = this.#or();
    this.#expectEnd();
    return condition;
  }

  #from(): void {
    this.#expectWord("FROM");
    this.#alias = this.#name();
    const hasAs = this.#takeWord("AS");
    if (hasAs || (this.#peek().kind === "word" && !this.#isWord("WHERE") && !this.#isWord("ORDER"))) {
      const refusedNames = ["JOIN", "IN", "GROUP", "OFFSET", "LIMIT"];
      if (refusedNames.includes(this.#peek().text.toUpperCase())) throw this.#refused("not supported");
      this.#alias = this.#name();
    }
  }

  #select(): Select {
    if (this.#takeSymbol("*")) return { kind: "document" };
    if (this.#takeWord("VALUE")) {
      const aggregate = this.#peek().text.toUpperCase();
      if (this.#peek().kind === "word" && isAggregate(aggregate)) return this.#aggregate(aggregate);
      return { kind: "value", path: this.#path() };
    }
    const fields: { name: string; path: Path }[] = [];
    do {
      const path = this.#path();
      const name = this.#takeWord("AS") ? this.#name() : (path.at(-1) ?? this.#alias);
      fields.push({ name, path });
    } while (this.#takeSymbol(","));
    return { kind: "fields", fields };
  }

  #aggregate(aggregate: Aggregate): Select {
    this.#at++;
    this.#expectSymbol("(");
    const one = this.#peek();
    const countsRows = aggregate === "COUNT" && one.kind === "number" && one.value === 1;
    if (countsRows) this.#at++;
    const path = countsRows ? null : this.#path();
    this.#expectSymbol(")");
    return { kind: "aggregate", aggregate, path };
  }

  #orderBy(): Query["orderBy"] {
    this.#expectWord("BY");
    const path = this.#path();
    const descending = this.#takeWord("DESC");
    if (!descending) this.#takeWord("ASC");
    if (this.#takeSymbol(",")) throw badRequest("ORDER BY several properties needs a composite index; there is none.");
    return { path, descending };
  }

  #or(): Condition {
    const terms = [this.#and()];
    while (this.#takeWord("OR")) terms.push(this.#and());
    return terms.length === 1 && terms[0] ? terms[0] : { kind: "or", terms };
  }

  #and(): Condition {
    const terms = [this.#not()];
    while (this.#takeWord("AND")) terms.push(this.#not());
    return terms.length === 1 && terms[0] ? terms[0] : { kind: "and", terms };
  }

  #not(): Condition {
    if (!this.#takeWord("NOT")) return this.#predicate();
    const negated = negate(this.#not());
    if (!negated)
      throw badRequest(
        "NOT ARRAY_CONTAINS is not supported: it has no index and its answer for a missing array is unclear.",
      );
    return negated;
  }

  #predicate(): Condition {
    if (this.#takeSymbol("(")) {
      const inside = this.#or();
      this.#expectSymbol(")");
      return inside;
    }
    const token = this.#peek();
    if (token.kind === "word" && this.#tokens[this.#at + 1]?.text === "(") return this.#functionCall(token.text);
    return this.#comparison();
  }

  #functionCall(name: string): Condition {
    const called = name.toUpperCase();
    this.#at += 2;
    const first = this.#operand();
    const more: Operand[] = [];
    while (this.#takeSymbol(",")) more.push(this.#operand());
    this.#expectSymbol(")");
    const [second, third] = more;
    if (third) throw badRequest(`${called} is not supported with three arguments.`);
    if (called === "IS_DEFINED" && !second) return { kind: "is-defined", path: pathOf(first), negated: false };
    if (called === "IS_NULL" && !second) return { kind: "is-null", path: pathOf(first), negated: false };
    if (called === "STARTSWITH" && second) {
      const prefix = scalarOf(second);
      if (typeof prefix !== "string") throw badRequest("STARTSWITH needs a string to start with.");
      return { kind: "starts-with", path: pathOf(first), prefix, negated: false };
    }
    if (called === "ARRAY_CONTAINS" && second) return arrayContains(first, second);
    throw badRequest(`The function ${name} is not supported like this.`);
  }

  #comparison(): Condition {
    const left = this.#operand();
    const negated = this.#takeWord("NOT");
    if (this.#takeWord("IN")) {
      return { kind: "in", path: pathOf(left), values: this.#valueList(), negated, fromList: false };
    }
    if (this.#takeWord("BETWEEN")) {
      const path = pathOf(left);
      const from = scalarOf(this.#operand());
      this.#expectWord("AND");
      const to = scalarOf(this.#operand());
      if (negated) throw badRequest("NOT BETWEEN is not supported; compare twice.");
      const least: Condition = { kind: "compare", path, comparison: ">=", value: from };
      return { kind: "and", terms: [least, { kind: "compare", path, comparison: "<=", value: to }] };
    }
    if (negated) throw this.#refused("IN was expected");
    const symbol = this.#peek().text === "<>" ? "!=" : this.#peek().text;
    if (!isComparison(symbol)) {
      // A property alone is a filter too: it has to be true itself.
      return { kind: "compare", path: pathOf(left), comparison: "=", value: true };
    }
    this.#at++;
    const right = this.#operand();
    if ("path" in left) return { kind: "compare", path: left.path, comparison: symbol, value: scalarOf(right) };
    return { kind: "compare", path: pathOf(right), comparison: flipped[symbol], value: scalarOf(left) };
  }

  #valueList(): Scalar[] {
    this.#expectSymbol("(");
    const values: Scalar[] = [];
    do values.push(scalarOf(this.#operand()));
    while (this.#takeSymbol(","));
    this.#expectSymbol(")");
    return values;
  }

  #operand(): Operand {
    const token = this.#peek();
    if (token.kind === "string" || token.kind === "number") {
      this.#at++;
      return { constant: token.value };
    }
    if (token.kind === "parameter") {
      this.#at++;
      return { constant: this.#parameter(token.text) };
    }
    const word = token.kind === "word" ? token.text.toLowerCase() : "";
    if (word === "true" || word === "false" || word === "null") {
      this.#at++;
      return { constant: word === "null" ? null : word === "true" };
    }
    return { path: this.#path() };
  }

  #parameter(name: string): Scalar | Scalar[] {
    const value = this.#parameters.get(name);
    if (isScalar(value)) return value;
    if (Array.isArray(value) && value.every(isScalar)) return value;
    throw badRequest(`The parameter ${name} is missing, or neither a scalar nor a list of scalars.`);
  }

  #path(): Path {
    const token = this.#peek();
    if (token.kind !== "word" || token.text !== this.#alias || notPaths.has(token.text.toUpperCase())) {
      throw this.#refused(`a property of ${this.#alias} was expected`);
    }
    this.#at++;
    const path: string[] = [];
    for (;;) {
      if (this.#takeSymbol(".")) path.push(this.#name());
      else if (this.#takeSymbol("[")) {
        const name = this.#peek();
        if (name.kind !== "string") throw this.#refused("only a quoted property name may stand in brackets");
        this.#at++;
        path.push(name.value);
        this.#expectSymbol("]");
      } else return path;
    }
  }

  #name(): string {
    const token = this.#peek();
    if (token.kind !== "word") throw this.#refused("a name was expected");
    this.#at++;
    return token.text;
  }

  #wholeNumber(): number {
    const token = this.#peek();
    const value =
      token.kind === "number" ? token.value : token.kind === "parameter" ? this.#parameters.get(token.text) : undefined;
    if (typeof value !== "number" || !Number.isInteger(value) || value < 0) throw this.#refused("a count was expected");
    this.#at++;
    return value;
  }

  #peek(): Token {
    return this.#tokens[this.#at] ?? { kind: "end", text: "the end", at: 0 };
  }

  #isWord(word: string): boolean {
    const token = this.#peek();
    return token.kind === "word" && token.text.toUpperCase() === word;
  }

  #takeWord(word: string): boolean {
    if (!this.#isWord(word)) return false;
    this.#at++;
    return true;
  }

  #takeSymbol(symbol: string): boolean {
    const token = this.#peek();
    if (token.kind !== "symbol" || token.text !== symbol) return false;
    this.#at++;
    return true;
  }

  #expectWord(word: string): void {
    if (!this.#takeWord(word)) throw this.#refused(`${word} was expected`);
  }

  #expectSymbol(symbol: string): void {
    if (!this.#takeSymbol(symbol)) throw this.#refused(`${symbol} was expected`);
  }

  #expectEnd(): void {
    if (this.#peek().kind !== "end") throw this.#refused("not supported");
  }

  #refused(why: string): Error {
    const { text, at } = this.#peek();
    return badRequest(`Query refused at ${text} (character ${at}): ${why}.`);
  }
}

const arrayContains = (list: Operand, member: Operand): Condition => {
  if ("path" in list) return { kind: "array-contains", path: list.path, value: scalarOf(member) };
  const path = pathOf(member);
  if (!Array.isArray(list.constant) || path.join("/") !== "id") {
    throw badRequest("ARRAY_CONTAINS over a list is supported for c.id only: on any other path it would be a scan.");
  }
  return { kind: "in", path, values: list.constant, negated: false, fromList: true };
};

const pathOf = (operand: Operand): Path => {
  if ("path" in operand && operand.path.length > 0) return operand.path;
  throw badRequest("One side of each filter has to be a property, the other a constant.");
};

const scalarOf = (operand: Operand): Scalar => {
  if ("constant" in operand && !Array.isArray(operand.constant)) return operand.constant;
  throw badRequest(
    "A filter compares a property with a string, number, boolean or null; not with a property or a list.",
  );
};

const isScalar = (value: unknown): value is Scalar =>
  value === null || typeof value === "string" || typeof value === "number" || typeof value === "boolean";

const isAggregate = (text: string): text is Aggregate => aggregates.includes(text);

const isComparison = (text: string): text is Comparison => Object.hasOwn(flipped, text);
