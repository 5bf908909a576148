/**
 * A simulated tenant of a given size: people by the simulator's generator, groups of our own, so that the number of memberships
 * is what a benchmark says. Graph behaves as documented and no worse (`calm`): the traps have their own tests.
 */
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
  return { tid, people, memberships: groups.reduce((sum, { members }) => sum + members.length, 0) };
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
