/**
 * The part of the membership rule language the simulator needs: equalities joined by `-and`, such as
 * `user.department -eq "Sales" -and user.city -eq "Lyon"`. Comparison ignores case, as in Entra ID.
 */
import type { Properties } from "./entra-rules.ts";

export type MembershipRule = { property: string; value: string }[];

const equality = /^\(?user\.(\w+) -eq "([^"]*)"\)?$/;

export const ruleText = (rule: MembershipRule): string =>
  rule.map(({ property, value }) => `user.${property} -eq "${value}"`).join(" -and ");

/** Null for what is outside this part of the language; such groups keep the members they have. */
export function parseRule(text: unknown): MembershipRule | null {
  if (typeof text !== "string") return null;
  const rule: MembershipRule = [];
  for (const part of text.split(" -and ")) {
    const [, property, value] = equality.exec(part.trim()) ?? [];
    if (property === undefined || value === undefined) return null;
    rule.push({ property, value });
  }
  return rule;
}

export const satisfies = (rule: MembershipRule, user: Properties): boolean =>
  rule.every(({ property, value }) => {
    const actual = user[property];
    return typeof actual === "string" && actual.toLowerCase() === value.toLowerCase();
  });
