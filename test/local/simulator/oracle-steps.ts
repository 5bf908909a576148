/** Small directories and what happens in them, said in a line each, and an oracle that looks at them. */
import { createDirectory } from "../../../src/local/simulator/directory/memory-directory.ts";
import { createOracle, everything, type Oracle } from "../../../src/local/simulator/directory/oracle.ts";
import type { OracleSettings } from "../../../src/local/simulator/directory/oracle-rules.ts";
import type { Mutation } from "../../../src/local/simulator/directory/state.ts";
import { foundGroup, microsoft365 } from "../../support/group-mutations.ts";

export const id = (n: number): string => `00000000-0000-4000-8000-${String(n).padStart(12, "0")}`;
export const [ann, ben] = [id(1), id(2)];
export const [team, security, other] = [id(11), id(12), id(13)];

export const hire = (userId: string, properties: Record<string, unknown> = {}): Mutation => ({
  op: "create-user",
  user: { id: userId, properties: { displayName: "d", userPrincipalName: `${userId}@contoso.example`, ...properties } },
});
export const found = (groupId: string, unified: boolean, more: Record<string, unknown> = {}): Mutation =>
  foundGroup(groupId, { displayName: "g", mailNickname: "g", ...(unified ? microsoft365 : {}), ...more });
export const set = (userId: string, properties: Record<string, unknown>): Mutation => ({
  op: "update-user",
  id: userId,
  set: properties,
});
export const remove = (userId: string): Mutation => ({ op: "delete-user", id: userId });
export const restore = (userId: string): Mutation => ({ op: "restore-user", id: userId });
export const purge = (userId: string): Mutation => ({ op: "purge-user", id: userId });
export const manage = (userId: string, managerId: string | null): Mutation => ({
  op: "set-manager",
  id: userId,
  managerId,
});
export const join = (
  groupId: string,
  memberId: string,
  memberType: "user" | "group" | "device" = "user",
): Mutation => ({
  op: "add-member",
  groupId,
  memberId,
  memberType,
});
export const leave = (groupId: string, memberId: string): Mutation => ({ op: "remove-member", groupId, memberId });

export const LOOK = "look" as const;
/** A function is given the oracle: other settings, the passing of time. */
export type Step = Mutation | typeof LOOK | ((oracle: Oracle) => void);

export function after(steps: Step[], options: Parameters<typeof createOracle>[0] = {}) {
  const directory = createDirectory();
  const oracle = createOracle(options);
  for (const step of steps) {
    if (step === LOOK) oracle.observe(directory);
    else if (typeof step === "function") step(oracle);
    else directory.apply(step);
  }
  return { directory, oracle, view: oracle.view() };
}

export interface Changes {
  people?: Partial<OracleSettings["people"]>;
  groups?: Partial<OracleSettings["groups"]>;
  attributes?: OracleSettings["attributes"];
  leaving?: OracleSettings["leaving"];
}

export const chosen = ({ people, groups, attributes, leaving }: Changes): OracleSettings => ({
  people: { ...everything.people, ...people },
  groups: { ...everything.groups, ...groups },
  attributes: attributes ?? everything.attributes,
  leaving: leaving ?? everything.leaving,
});
export const use =
  (changes: Changes): Step =>
  (oracle) =>
    oracle.use({ settings: chosen(changes) });
export const list =
  (...blacklist: string[]): Step =>
  (oracle) =>
    oracle.use({ blacklist });

export const kinds = { members: true, guests: true, disabled: true, withoutMail: true };
export const without = (kind: keyof typeof kinds): Changes => ({ people: { kinds: { ...kinds, [kind]: false } } });
export const fromGroups = (membership: "direct" | "nested", ...groups: string[]): Changes => ({
  people: { from: "groups", groups, membership },
});

export const hired = [hire(ann), hire(ben)];
/** `security` holds `other`. */
export const chain = [
  found(other, false),
  found(security, false),
  found(id(14), false),
  join(security, other, "group"),
];
/** And `other` holds a third, which holds `security`. */
export const cycle = [...chain, join(other, id(14), "group"), join(id(14), security, "group")];
