/** Groups of a tenant that is made by hand. */
import type { MemberType, Mutation } from "../../src/local/simulator/directory/state.ts";

export const microsoft365 = { groupTypes: ["Unified"], mailEnabled: true, securityEnabled: false };

/** A security group where the properties do not say otherwise. */
export const foundGroup = (
  id: string,
  properties: { displayName: string; mailNickname: string } & Record<string, unknown>,
  members: [string, MemberType][] = [],
): Mutation => ({
  op: "create-group",
  group: {
    id,
    properties: { mailEnabled: false, securityEnabled: true, groupTypes: [], ...properties },
    members,
  },
});
