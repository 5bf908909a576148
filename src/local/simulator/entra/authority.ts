/** Whom a request speaks to, and who may stand before the login page: tenants by path, accounts, guests and their homes. */
import type { SimUser } from "../directory/state.ts";
import type { Account, AppRegistration, Tenant, World } from "../world.ts";
import { Refusal } from "./refusal.ts";

/** Tenant of personal accounts, the same in every cloud. */
export const consumerTid = "9188040d-6c67-4c5b-b112-36a304b66dad";

export interface Authority {
  /** As in the address, lower case: a tenant's GUID or domain, `organizations` or `common`. */
  path: string;
  /** Null where the tenant is only known after sign-in. */
  tenant: Tenant | null;
}

export const resolveAuthority = (world: World, tenantPath: string): Authority => {
  const path = tenantPath.toLowerCase();
  if (path === "organizations" || path === "common") return { path, tenant: null };
  if (path === "consumers" || path === consumerTid) throw new Refusal(9002346);
  const tenant =
    world.tenants.get(path) ??
    [...world.tenants.values()].find((candidate) => candidate.verifiedDomains.some((d) => d.toLowerCase() === path));
  if (!tenant || tenant.gone) throw new Refusal(90002, { text: `Tenant '${tenantPath}' was not found.` });
  return { path, tenant };
};

export const registrationOf = (world: World, clientId: string | null): AppRegistration => {
  if (!clientId) throw new Refusal(900144, { text: "The parameter 'client_id' is missing." });
  const registration = world.registrations.get(clientId);
  if (!registration) throw new Refusal(700016, { text: `Application '${clientId}' was not found in the directory.` });
  return registration;
};

export interface Person {
  tenant: Tenant;
  account: Account;
  user: SimUser;
}

const text = (value: unknown): string => (typeof value === "string" ? value : "");
export const displayNameOf = (person: Person): string => text(person.user.properties.displayName);
export const principalNameOf = (person: Person): string => text(person.user.properties.userPrincipalName);
export const mailOf = (person: Person): string => text(person.user.properties.mail);
export const isGuest = (person: Person): boolean => person.user.properties.userType === "Guest";
export const accountKey = (person: Person): string => `${person.user.id}@${person.tenant.tid}`;

/** The accounts a login page offers: those of the tenant in the address, or of every tenant. */
export const peopleAt = (world: World, authority: Authority): Person[] => {
  const tenants = authority.tenant ? [authority.tenant] : [...world.tenants.values()].filter((tenant) => !tenant.gone);
  return tenants.flatMap((tenant) =>
    tenant.accounts.flatMap((account) => {
      const user = tenant.directory.users.get(account.objectId);
      return user ? [{ tenant, account, user }] : [];
    }),
  );
};

/** The person behind a chosen account, or the refusal of an account that this authority does not know. */
export const signedInPerson = (world: World, authority: Authority, account: string): Person => {
  const [objectId = "", tid = ""] = account.split("@");
  if (authority.tenant && authority.tenant.tid !== tid) throw new Refusal(50020);
  const person = livingPerson(world, tid, objectId);
  if (authority.tenant) return person;
  const home = homeOf(world, person);
  if (!home) throw new Refusal(50020);
  return home === person ? person : livingPerson(world, home.tenant.tid, home.user.id);
};

/** Somebody who can sign in now: the tenant and the user exist and the account is enabled. */
export const livingPerson = (world: World, tid: string, objectId: string): Person => {
  const { tenant } = resolveAuthority(world, tid);
  const user = tenant?.directory.users.get(objectId);
  if (!tenant || !user) throw new Refusal(50034);
  if (user.properties.accountEnabled === false) throw new Refusal(50057);
  return { tenant, user, account: accountOf(tenant, user) };
};

const accountOf = (tenant: Tenant, user: SimUser): Account =>
  tenant.accounts.find(({ objectId }) => objectId === user.id) ?? { objectId: user.id, directoryRoles: [] };

/** Where `organizations` lands: a guest goes to the tenant that owns the domain of the guest's mail address. */
export const homeOf = (world: World, person: Person): Person | null => {
  if (!isGuest(person)) return person;
  const mail = mailOf(person).toLowerCase();
  const domain = mail.slice(mail.indexOf("@") + 1);
  for (const tenant of world.tenants.values()) {
    if (tenant === person.tenant || tenant.gone || !tenant.verifiedDomains.some((d) => d.toLowerCase() === domain))
      continue;
    for (const user of tenant.directory.users.values())
      if (text(user.properties.mail).toLowerCase() === mail) return { tenant, user, account: accountOf(tenant, user) };
  }
  return null;
};

/** Sign-in of one person or an administrator's consent creates the service principal; permissions come only with the latter. */
export const ensureServicePrincipal = (tenant: Tenant, clientId: string): Set<string> => {
  const existing = tenant.grants.get(clientId);
  if (existing) return existing;
  const granted = new Set<string>();
  tenant.grants.set(clientId, granted);
  return granted;
};
