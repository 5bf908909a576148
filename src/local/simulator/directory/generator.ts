/** Realistic directories from a seed: the same arguments give the same objects; other seeds or domains share nothing. */
import type { Account } from "../world.ts";
import { generateGroups } from "./generated-groups.ts";
import { oddities } from "./oddities.ts";
import { createPersonMaker, type PersonKind } from "./person-maker.ts";
import { guidOf, type Random, randomOf } from "./random.ts";
import type { SimGroup, SimUser } from "./state.ts";

export interface DirectorySpec {
  seed: number;
  /** At least five: the accounts that can sign in. */
  users: number;
  groups: number;
  /** The tenant's verified domain. */
  domain: string;
}

/** Directory roles by their template ids, which are the same in every tenant. */
const globalAdministrator = "62e90394-69f5-4237-9190-012177145e10";
const applicationAdministrator = "9b895d92-2cd3-44c7-9d02-a6ac2d5ea5c3";

/** The first people of a directory, in this order. */
const accountHolders: { kind: PersonKind; directoryRoles: string[] }[] = [
  { kind: "employee", directoryRoles: [globalAdministrator] },
  { kind: "guest", directoryRoles: [globalAdministrator] },
  { kind: "employee", directoryRoles: [applicationAdministrator] },
  { kind: "employee", directoryRoles: [] },
  { kind: "employee", directoryRoles: [] }, // eligible for Global Administrator, never activated
];

const kinds: { kind: PersonKind; weight: number }[] = [
  { kind: "employee", weight: 89 },
  { kind: "guest", weight: 8 },
  { kind: "room", weight: 2 },
  { kind: "shared-mailbox", weight: 1 },
];

function generateUsers({ seed, users: count, domain }: DirectorySpec): SimUser[] {
  const random = randomOf(domain, seed, "people");
  const maker = createPersonMaker(random, domain, seed);
  /** Each oddity once, then one of each kind; after them chance decides. */
  const rosterStart = accountHolders.length;
  const rosterEnd = rosterStart + oddities.length;
  return Array.from({ length: count }, (_, index): SimUser => {
    const tag = `${seed.toString(36)}-${index.toString(36)}`;
    const holder = accountHolders[index];
    const inRoster = index >= rosterStart && index < rosterEnd;
    const kind = holder?.kind ?? (inRoster ? "employee" : (kinds[index - rosterEnd] ?? random.weighted(kinds)).kind);
    let properties = maker.make(kind, tag);
    if (holder) {
      // only guests who have accepted can sign in
      while (properties.externalUserState === "PendingAcceptance") properties = maker.make(kind, tag);
    } else if (inRoster) {
      properties = oddities[index - rosterStart]?.bend(properties, random, tag, maker) ?? properties;
    } else if (kind === "employee") {
      for (const oddity of oddities) {
        if (random.chance(oddity.share)) properties = oddity.bend(properties, random, tag, maker);
      }
    }
    return { id: guidOf(domain, seed, "user", index), properties, managerId: null };
  });
}

/** A forest of about eight reports each, with a few pairs who manage each other and a few managers who are contacts. */
function assignManagers(users: SimUser[], { seed, domain }: DirectorySpec, random: Random): void {
  const staff = users.filter(({ properties }) => properties.userType !== "Guest" && properties.jobTitle !== undefined);
  for (const [index, person] of staff.entries()) {
    if (index === 0 || random.chance(0.02)) continue;
    const outside = index === 3 || random.chance(0.004);
    const superior = staff[Math.floor((index - 1) / (6 + random.below(5)))];
    person.managerId = outside ? guidOf(domain, seed, "manager contact", index) : (superior?.id ?? null);
  }
  const pairs = Math.min(Math.ceil(staff.length / 500), Math.floor(staff.length / 10));
  for (let pair = 0; pair < pairs; pair++) {
    const first = staff[staff.length - 1 - 2 * pair];
    const second = staff[staff.length - 2 - 2 * pair];
    if (!first || !second) break;
    first.managerId = second.id;
    second.managerId = first.id;
  }
}

export function generateDirectory(spec: DirectorySpec): { users: SimUser[]; groups: SimGroup[]; accounts: Account[] } {
  if (!Number.isSafeInteger(spec.seed) || spec.seed < 0)
    throw new RangeError("The seed is a whole number, not negative");
  if (spec.users < accountHolders.length) throw new RangeError(`At least ${accountHolders.length} users are needed`);
  const users = generateUsers(spec);
  assignManagers(users, spec, randomOf(spec.domain, spec.seed, "managers"));
  const groups = generateGroups(spec, users);
  const accounts = accountHolders.map(({ directoryRoles }, index): Account => {
    const objectId = users[index]?.id ?? "";
    return { objectId, directoryRoles: [...directoryRoles] };
  });
  return { users, groups, accounts };
}
