/** What happens to people. */

import type { HappeningKind, Scene } from "./scene.ts";
import type { SimUser } from "./state.ts";

const texts = [
  "givenName",
  "surname",
  "jobTitle",
  "department",
  "companyName",
  "officeLocation",
  "mobilePhone",
  "employeeId",
  "employeeType",
  "usageLocation",
  "preferredLanguage",
  "streetAddress",
  "city",
  "state",
  "postalCode",
  "country",
];

/** `act` gets a person who may be changed; the happening is impossible where nobody fits. */
const toSomebody = (
  name: string,
  weight: number,
  act: (person: SimUser, scene: Scene) => void,
  fits?: (person: SimUser, scene: Scene) => boolean,
): HappeningKind => ({
  name,
  weight,
  happen(scene) {
    const person = scene.somePerson(fits && ((user) => fits(user, scene)));
    if (!person) return false;
    act(person, scene);
    return true;
  },
});

/** `act` gets two different people. */
const toTwo = (
  name: string,
  weight: number,
  act: (one: SimUser, other: SimUser, scene: Scene) => void,
): HappeningKind => ({
  name,
  weight,
  happen(scene) {
    const one = scene.somePerson();
    const other = scene.somePerson((user) => user !== one);
    if (!one || !other) return false;
    act(one, other, scene);
    return true;
  },
});

const always = (name: string, weight: number, act: (scene: Scene) => void): HappeningKind => ({
  name,
  weight,
  happen(scene) {
    act(scene);
    return true;
  },
});

function nameIsTaken({ users }: Scene["directory"], name: unknown): boolean {
  const wanted = String(name).toLowerCase();
  for (const { properties } of users.values()) {
    if (String(properties.userPrincipalName).toLowerCase() === wanted) return true;
  }
  return false;
}

const toSomeDeleted = (name: string, weight: number, op: "restore-user" | "purge-user"): HappeningKind => ({
  name,
  weight,
  happen({ directory, random, emit }) {
    const deleted = [...directory.deletedUsers.values()];
    if (deleted.length === 0) return false;
    const { id, properties } = random.pick(deleted);
    if (op === "restore-user" && nameIsTaken(directory, properties.userPrincipalName)) return false;
    emit({ op, id });
    return true;
  },
});

const filled = (person: SimUser): string[] =>
  texts.filter((name) => {
    const value = person.properties[name];
    return typeof value === "string" && value.trim() !== "";
  });

/** The address a guest was invited at. */
const invitedAt = ({ properties }: SimUser): unknown =>
  (Array.isArray(properties.otherMails) ? properties.otherMails[0] : null) ?? null;

export const personHappenings: HappeningKind[] = [
  always("person hired", 6, (scene) => {
    const person = scene.createPerson();
    const manager = scene.somePerson(({ id }) => id !== person.id);
    if (manager) scene.emit({ op: "set-manager", id: person.id, managerId: manager.id });
  }),
  always("guest invited", 2, (scene) => {
    scene.createPerson(scene.draft("guest"));
  }),
  toSomebody("text changed", 14, ({ id }, scene) => {
    const property = scene.random.pick(["displayName", ...texts]);
    scene.updatePerson(id, { [property]: scene.draft()[property] });
  }),
  toSomebody("several texts changed", 5, ({ id }, scene) => {
    const { jobTitle, department, officeLocation, city, streetAddress } = scene.draft();
    scene.updatePerson(id, { jobTitle, department, officeLocation, city, streetAddress });
  }),
  toSomebody("same value written again", 3, ({ id, properties }, scene) => {
    scene.updatePerson(id, { displayName: properties.displayName, accountEnabled: properties.accountEnabled ?? true });
  }),
  toSomebody(
    "text set to null",
    5,
    (person, scene) => scene.updatePerson(person.id, { [scene.random.pick(filled(person))]: null }),
    (person) => filled(person).length > 0,
  ),
  toSomebody(
    "text emptied",
    3,
    (person, scene) => scene.updatePerson(person.id, { [scene.random.pick(filled(person))]: "" }),
    (person) => filled(person).length > 0,
  ),
  toSomebody(
    "text set to white space",
    3,
    (person, scene) =>
      scene.updatePerson(person.id, {
        [scene.random.pick(filled(person))]: scene.random.pick([" ", " \t\n", "\u00a0", "\u3000"]),
      }),
    (person) => filled(person).length > 0,
  ),
  toSomebody("mail set to null", 2, ({ id }, scene) => scene.updatePerson(id, { mail: null, proxyAddresses: [] })),
  toSomebody("list changed", 4, ({ id }, scene) => {
    const { mail, mobilePhone } = scene.draft();
    const alias = `smtp:${String(mail)}`;
    scene.updatePerson(
      id,
      scene.random.pick([
        { businessPhones: [mobilePhone] },
        { otherMails: [mail] },
        { proxyAddresses: [alias, alias.replace("@", ".2@")] },
      ]),
    );
  }),
  toSomebody("list emptied", 3, ({ id }, scene) =>
    scene.updatePerson(id, { [scene.random.pick(["businessPhones", "otherMails", "proxyAddresses"])]: [] }),
  ),
  toSomebody("account switched", 5, ({ id, properties }, scene) =>
    scene.updatePerson(id, { accountEnabled: properties.accountEnabled === false }),
  ),
  toSomebody(
    "guest accepted",
    2,
    (person, scene) => scene.updatePerson(person.id, { externalUserState: "Accepted", mail: invitedAt(person) }),
    ({ properties }) => properties.externalUserState === "PendingAcceptance",
  ),
  toSomebody("sign-in name renamed", 3, ({ id }, scene) => {
    const { userPrincipalName, mail, proxyAddresses, surname, displayName } = scene.draft();
    scene.updatePerson(id, { userPrincipalName, mail, proxyAddresses, surname, displayName });
  }),
  toTwo("mail swapped", 2, (one, other, scene) => {
    const [first, second] = [one.properties.mail ?? null, other.properties.mail ?? null];
    scene.updatePerson(one.id, { mail: second });
    scene.updatePerson(other.id, { mail: first });
  }),
  toTwo("sign-in names swapped", 1, (one, other, scene) => {
    const [first, second] = [one.properties.userPrincipalName, other.properties.userPrincipalName];
    scene.updatePerson(one.id, { userPrincipalName: scene.draft().userPrincipalName });
    scene.updatePerson(other.id, { userPrincipalName: first });
    scene.updatePerson(one.id, { userPrincipalName: second });
  }),
  toSomebody("address of a deleted person given to a new one", 1, ({ id, properties }, scene) => {
    const { userPrincipalName, mail } = properties;
    scene.emit({ op: "delete-user", id });
    scene.createPerson({ ...scene.draft(), userPrincipalName, mail: mail ?? null });
  }),
  toTwo("manager set", 5, (one, other, { emit }) => emit({ op: "set-manager", id: one.id, managerId: other.id })),
  toTwo("two people manage each other", 1, (one, other, { emit }) => {
    emit({ op: "set-manager", id: one.id, managerId: other.id });
    emit({ op: "set-manager", id: other.id, managerId: one.id });
  }),
  toSomebody("manager is a contact", 1, ({ id }, { emit, newId }) =>
    emit({ op: "set-manager", id, managerId: newId() }),
  ),
  toSomebody(
    "manager cleared",
    3,
    ({ id }, { emit }) => emit({ op: "set-manager", id, managerId: null }),
    ({ managerId }) => managerId !== null,
  ),
  toSomebody("person deleted", 4, ({ id }, { emit }) => emit({ op: "delete-user", id })),
  toSomebody("person deleted and restored at once", 1, ({ id }, { emit }) => {
    emit({ op: "delete-user", id });
    emit({ op: "restore-user", id });
  }),
  toSomebody("person deleted and purged at once", 1, ({ id }, { emit }) => {
    emit({ op: "delete-user", id });
    emit({ op: "purge-user", id });
  }),
  always("person created and deleted at once", 1, (scene) => {
    const { id } = scene.createPerson();
    scene.emit({ op: "delete-user", id });
    if (scene.random.chance(0.5)) scene.emit({ op: "purge-user", id });
  }),
  toSomeDeleted("deleted person restored", 4, "restore-user"),
  toSomeDeleted("deleted person purged", 2, "purge-user"),
];
