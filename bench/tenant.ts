/**
 * A simulated tenant of a given size: people by the simulator's generator, groups of our own, so that the number of memberships
 * is what a benchmark says. All groups but the first few are nested, four in each, several deep. Graph behaves as documented and
 * no worse (`calm`): the traps have their own tests.
 */
import type { Settings } from "../src/core/connections/settings.ts";
import { everybody } from "../src/local/demo/everybody.ts";
import { type App, barePages } from "./app.ts";
import type { Services } from "./services.ts";

export interface TenantSize {
  users: number;
  groups: number;
  /** Direct memberships of people, over all groups; met within a few of a hundred. */
  memberships: number;
  /** Members of the first group. */
  largestGroup: number;
}

/** One group for 20 people, two memberships for each of them. */
export const ordinary = (users: number): TenantSize => ({
  users,
  groups: Math.max(2, Math.round(users / 20)),
  memberships: users * 2,
  largestGroup: Math.min(2000, Math.round(users / 10)),
});

export interface BenchTenant {
  tid: string;
  /** Object ids. */
  people: string[];
  memberships: number;
  /** Object ids of the groups that are in no other one; the first is the largest. */
  outermost: string[];
}

type Member = [id: string, type: "user"];

/** A body of the control port has at most 4 MB. */
const membersPerRequest = 20_000;
const groupsPerRequest = 100;

export const createTenant = async (services: Services, app: App, size: TenantSize): Promise<BenchTenant> => {
  const { command } = services.simulator;
  const domain = `bench-${size.users}-${app.uniqueNumber()}.example`;
  const { tid } = await command("create-tenant", { users: size.users, groups: 0, seed: 1, domain });
  await command("grant", { tid, clientId: services.addresses.clientId });
  await command("switches", { tid, mode: "calm" });
  const people: string[] = [];
  for await (const { value } of barePages(app, tid, "users?$select=id&$top=999"))
    for (const { id } of value as { id: string }[]) people.push(id);

  const groups = groupSizes(size).map((count, index) => ({ id: groupId(index), members: pick(people, index, count) }));
  for (let at = 0; at < groups.length; at += groupsPerRequest) {
    const mutations = groups.slice(at, at + groupsPerRequest).map(({ id, members }) => ({
      op: "create-group" as const,
      group: { id, properties: propertiesOf(id), members: members.slice(0, membersPerRequest).map(asMember) },
    }));
    await command("mutate", { tid, mutations });
  }
  for (const { id, members } of groups)
    for (let at = membersPerRequest; at < members.length; at += membersPerRequest) {
      const mutations = members.slice(at, at + membersPerRequest).map((memberId) => ({
        op: "add-member" as const,
        groupId: id,
        memberId,
        memberType: "user" as const,
      }));
      await command("mutate", { tid, mutations });
    }
  const outermost = Math.min(mostOutermost, Math.ceil(groups.length / 2));
  const mutations = groups.slice(outermost).map(({ id }, index) => ({
    op: "add-member" as const,
    groupId: groupId(Math.floor(index / groupsInOne)),
    memberId: id,
    memberType: "group" as const,
  }));
  await command("mutate", { tid, mutations });
  return {
    tid,
    people,
    memberships: groups.reduce((sum, { members }) => sum + members.length, 0),
    outermost: groups.slice(0, outermost).map(({ id }) => id),
  };
};

const mostOutermost = 10;
const groupsInOne = 4;

/** Half of the outermost groups with all that is nested in them; three groups stand for two of the product. */
export const chosenGroups = ({ outermost }: Pick<BenchTenant, "outermost">): Settings => {
  const groups = outermost.slice(0, Math.ceil(outermost.length / 2));
  const [first, ...others] = outermost.toReversed();
  const mapping = [first, others[0], groups[0]].flatMap((group, index) =>
    group === undefined ? [] : [{ group, productGroup: index === 0 ? "partners" : "staff" }],
  );
  const unique = [...new Map(mapping.map((entry) => [entry.group, entry])).values()];
  return {
    ...everybody,
    automatic: false,
    people: { ...everybody.people, from: "groups", groups, membership: "nested" },
    groups: { ...everybody.groups, mapping: unique },
  };
};

const groupId = (index: number): string => `0000000b-0000-4000-8000-${index.toString(16).padStart(12, "0")}`;

const asMember = (id: string): Member => [id, "user"];

/** Their mean is 1. */
const unevenness = [0.2, 0.5, 1, 1.3, 2];

const groupSizes = ({ groups, memberships, largestGroup }: TenantSize): number[] => {
  const others = groups > 1 ? (memberships - largestGroup) / (groups - 1) : 0;
  return Array.from({ length: groups }, (_, index) =>
    index === 0 ? largestGroup : Math.round(others * (unevenness[index % unevenness.length] ?? 1)),
  );
};

/** `count` different people, other ones for every group. */
const pick = (people: readonly string[], index: number, count: number): string[] => {
  const start = (index * 7919) % people.length;
  return Array.from(
    { length: Math.min(count, people.length) },
    (_, offset) => people[(start + offset) % people.length] as string,
  );
};

const propertiesOf = (id: string): Record<string, unknown> => ({
  displayName: `Projekt ${id.slice(-6)}`,
  description: `Everybody who works on project ${id.slice(-6)}`,
  mail: null,
  mailEnabled: false,
  mailNickname: `project-${id.slice(-6)}`,
  securityEnabled: true,
  groupTypes: [],
  visibility: null,
  createdDateTime: "2021-03-04T09:30:00Z",
});
