/**
 * Filters, reduced to what has to be true. The service computes with true, false and undefined and keeps a document only when the
 * filter is true. NOT is pushed down to the leaves while parsing (the laws of De Morgan hold with undefined too), so above a leaf
 * there is only AND and OR, and a leaf needs just one answer: is it true?
 *
 * A comparison with a missing property is undefined. `=` and `!=` between different types are false and true; `<` and its kin
 * between different types are undefined. null is a value like any other.
 */
import { valueAt } from "../document.ts";
import { compareKeys, indexKey, type Scalar, typeTag } from "../index-key.ts";

export type Path = readonly string[];
export type Comparison = "=" | "!=" | "<" | "<=" | ">" | ">=";

export type Leaf =
  | { kind: "compare"; path: Path; comparison: Comparison; value: Scalar }
  /** `fromList`: written as ARRAY_CONTAINS(@list, c.id). */
  | { kind: "in"; path: Path; values: Scalar[]; negated: boolean; fromList: boolean }
  | { kind: "starts-with"; path: Path; prefix: string; negated: boolean }
  | { kind: "is-defined" | "is-null"; path: Path; negated: boolean }
  | { kind: "array-contains"; path: Path; value: Scalar };

export interface Junction {
  kind: "and" | "or";
  terms: Condition[];
}

export type Condition = Leaf | Junction;

export const isJunction = (condition: Condition): condition is Junction =>
  condition.kind === "and" || condition.kind === "or";

const opposite: Record<Comparison, Comparison> = { "=": "!=", "!=": "=", "<": ">=", "<=": ">", ">": "<=", ">=": "<" };

/** null: what this server does not negate, because the service's answer for missing arrays is not known to us. */
export const negate = (condition: Condition): Condition | null => {
  if (isJunction(condition)) {
    const terms = condition.terms.map(negate);
    if (terms.includes(null)) return null;
    return { kind: condition.kind === "and" ? "or" : "and", terms: terms.filter((term) => term !== null) };
  }
  switch (condition.kind) {
    case "compare":
      return { ...condition, comparison: opposite[condition.comparison] };
    case "array-contains":
      return null;
    default:
      return { ...condition, negated: !condition.negated };
  }
};

/** The terms that all have to be true. */
export const conjuncts = (condition: Condition | null): Condition[] => {
  if (condition === null) return [];
  return condition.kind === "and" ? condition.terms.flatMap(conjuncts) : [condition];
};

export const leavesOf = (condition: Condition | null): Leaf[] => {
  if (condition === null) return [];
  return isJunction(condition) ? condition.terms.flatMap(leavesOf) : [condition];
};

export const isTrue = (condition: Condition | null, document: unknown): boolean => {
  if (condition === null) return true;
  if (isJunction(condition)) {
    const holds = (term: Condition): boolean => isTrue(term, document);
    return condition.kind === "and" ? condition.terms.every(holds) : condition.terms.some(holds);
  }
  const value = valueAt(document, condition.path);
  const key = indexKey(value);
  switch (condition.kind) {
    case "compare":
      return key !== null && compares(key, condition.comparison, condition.value);
    case "in":
      return key !== null && condition.values.some((one) => indexKey(one) === key) !== condition.negated;
    case "starts-with":
      return typeof value === "string" && value.startsWith(condition.prefix) !== condition.negated;
    case "is-defined":
      return (key !== null) !== condition.negated;
    case "is-null":
      return (value === null) !== condition.negated;
    default:
      return Array.isArray(value) && value.some((member) => indexKey(member) === indexKey(condition.value));
  }
};

const compares = (key: string, comparison: Comparison, constant: Scalar): boolean => {
  const other = indexKey(constant) ?? typeTag.null;
  if (comparison === "=") return key === other;
  if (comparison === "!=") return key !== other;
  if (key[0] !== other[0]) return false;
  const order = compareKeys(key, other);
  switch (comparison) {
    case "<":
      return order < 0;
    case "<=":
      return order <= 0;
    case ">":
      return order > 0;
    default:
      return order >= 0;
  }
};
