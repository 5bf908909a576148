/** What must never be found where nobody may read it: whatever names or reaches a person, and what groups are called. */
import type { Properties } from "./entra-rules.ts";
import type { OracleHistory } from "./oracle.ts";
import type { DirectoryState } from "./state.ts";

const personalProperties = new Set([
  "displayName",
  "givenName",
  "surname",
  "mail",
  "userPrincipalName",
  "mailNickname",
  "mobilePhone",
  "businessPhones",
  "otherMails",
  "proxyAddresses",
  "streetAddress",
  "employeeId",
]);

export function* personalTexts(properties: Properties): Iterable<string> {
  for (const [name, value] of Object.entries(properties)) {
    if (!personalProperties.has(name)) continue;
    for (const text of Array.isArray(value) ? value : [value]) if (typeof text === "string") yield text;
  }
}

/** Every personal string there ever was - laid down, written by a change, or observed - and the objects that had it. */
function holdersOf(directory: DirectoryState, { observed, people }: OracleHistory): Map<string, Set<string>> {
  const found = new Map<string, Set<string>>();
  const hold = (text: string, id: string): void => {
    const holders = found.get(text);
    if (holders) holders.add(id);
    else found.set(text, new Set([id]));
  };
  const note = (id: string, properties: Properties): void => {
    for (const text of personalTexts(properties)) hold(text, id);
  };
  for (const [text, holders] of observed) for (const id of holders) hold(text, id);
  for (const objects of [directory.users, directory.deletedUsers]) {
    for (const { id, properties } of objects.values()) {
      note(id, properties);
      hold(id, id);
    }
  }
  for (const objects of [directory.groups, directory.deletedGroups])
    for (const { id, properties } of objects.values()) note(id, properties);
  for (const id of people.keys()) hold(id, id);
  for (const { mutation } of directory.changesBetween(0, directory.sequence)) {
    if (mutation.op === "create-user") {
      note(mutation.user.id, mutation.user.properties);
      hold(mutation.user.id, mutation.user.id);
    } else if (mutation.op === "create-group") note(mutation.group.id, mutation.group.properties);
    else if (mutation.op === "update-user" || mutation.op === "update-group") note(mutation.id, mutation.set);
  }
  return found;
}

/** Shorter ones than `minimumLength` (in UTF-16 units) are left out, because they turn up in ciphertext by chance. */
export function personalStrings(directory: DirectoryState, history: OracleHistory, minimumLength = 5): Set<string> {
  return new Set([...holdersOf(directory, history).keys()].filter((text) => text.trim().length >= minimumLength));
}

/** Personal strings and object ids that nobody but people whom the sync never admitted ever had. */
export function stringsOfStrangers(directory: DirectoryState, history: OracleHistory, minimumLength = 5): Set<string> {
  const strangers = new Set<string>();
  for (const id of [...directory.users.keys(), ...directory.deletedUsers.keys()]) strangers.add(id);
  for (const { mutation } of directory.changesBetween(0, directory.sequence))
    if (mutation.op === "create-user") strangers.add(mutation.user.id);
  for (const id of history.people.keys()) strangers.delete(id);
  return new Set(
    [...holdersOf(directory, history)]
      .filter(([text, holders]) => text.trim().length >= minimumLength && [...holders].every((id) => strangers.has(id)))
      .map(([text]) => text),
  );
}
