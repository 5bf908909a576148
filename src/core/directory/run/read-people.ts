/** People as the users feed tells of them. */
import { personId } from "../../crypto/key-ring.ts";
import { ids } from "../../store/documents.ts";
import { emptyBlacklist } from "../blacklist.ts";
import { type KnownPerson, type PersonChange, planPerson, type Rules } from "../plan.ts";
import type { RawObject } from "../ports.ts";
import { knownPerson, underSettings } from "./known.ts";
import { markersOf } from "./markers.ts";
import { noneStored } from "./none-stored.ts";
import { regainMemberships } from "./regained.ts";
import { keepTurn, type Round, setAside } from "./round.ts";
import { contradicts } from "./said.ts";

export const readPeople = async (round: Round, objects: readonly RawObject[]): Promise<void> => {
  const { connection, staging, needs } = round;
  const { ring, connectionId, settings } = connection;
  if (objects.length === 0) return;
  round.counts.peopleRead += objects.length;
  const complete = round.cursor.full.users;
  const idOf = new Map(objects.map((object) => [object, personId(ring, object.id)]));
  const people = [...new Set(idOf.values())];
  const docs = (await noneStored(round, "person"))
    ? new Map<string, never>()
    : await needs.store.load(connectionId, "person", people.map(ids.person));
  const known = new Map([...docs].map(([id, doc]) => [id.slice(2), underSettings(round, knownPerson(ring, doc))]));
  const markers = await markersOf(round, people);
  const isBack = (object: RawObject, id: string): boolean =>
    !object.removed && isStale(known.get(id) ?? null) && staging.said("users", id) !== "there";
  await regainMemberships(
    round,
    objects.filter((object) => isBack(object, idOf.get(object) as string)),
  );
  const members = await round.members.among(people);
  const standingOf = (id: string) => ({ marker: markers.get(id) ?? null, isMember: members.has(id) });
  const rules = await round.rules();
  /** Nothing that Graph could say of them would bring them into the scope. */
  const isOutside = (id: string): boolean => settings.people.from === "groups" && !members.has(id);
  const fresh = complete
    ? new Map<string, RawObject | null>()
    : await hydrate(
        round,
        objects.filter((object) => {
          const id = idOf.get(object) as string;
          return isStale(known.get(id) ?? null) && !isOutside(id);
        }),
      );
  for (const object of objects) {
    await keepTurn(round);
    const id = idOf.get(object) as string;
    const person = known.get(id) ?? null;
    if (isStale(person) && isOutside(id) && !person?.left) {
      staging.plan("users", id, null, null, object.removed !== undefined);
      continue;
    }
    const earlier = (await staging.changeOf("users", id)) as PersonChange | null;
    const said = staging.said("users", id);
    let settled: RawObject | null = object;
    let whole = complete;
    let live = false;
    // A dry run keeps no attributes of what it planned on an earlier page.
    const forgotten = earlier !== null && earlier.op !== "deactivate" && earlier.op !== "keep" && !earlier.record;
    if (contradicts(said, object) || forgotten) {
      settled = await settlePerson(round, object);
      live = true;
    } else if (isStale(person) && !complete && !object.removed && !isOutside(id)) {
      settled = fresh.get(object.id) ?? null;
      live = true;
      if (!fresh.has(object.id)) {
        // Not readable now: the next round reads everything rather than lose a person.
        setAside(round, "person-not-readable", id);
        round.cursor.suspect = true;
      }
    }
    if (!settled) continue;
    // A live object leaves out a manager who is soft-deleted; the feed names them.
    if (live) settled = asTold(settled, object);
    whole = (whole || live) && !(await managerMayBeHidden(round, person, settled));
    // Met before without a change: what is stored has been confirmed by this round.
    const base = earlier?.record ?? (said === "there" ? (person?.base ?? person?.record ?? null) : null);
    const { change, kept } = planPerson(ring, rules, standingOf(id), person, settled, whole, live ? null : base);
    if (said === null) round.counts.keptThoughCleared += kept;
    staging.plan("users", id, change, earlier, settled.removed !== undefined);
  }
};

/** Of whom nothing is stored, or what was true when they left: a delta may name them with half of their properties. */
const isStale = (known: KnownPerson | null): boolean => known?.state !== "active" || known.left;

const asTold = (live: RawObject, object: RawObject): RawObject => {
  if (live.removed || (live.manager ?? []).length > 0) return live;
  const { manager: _none, ...rest } = live;
  return object.manager ? { ...rest, manager: object.manager } : rest;
};

const admitsEverybody = ({ settings: { people }, blacklist }: Rules): boolean =>
  people.from === "everybody" &&
  !people.oneByOne &&
  Object.values(people.kinds).every((on) => on) &&
  blacklist === emptyBlacklist;

/** Nobody is told of a manager who is soft-deleted and may come back without a word: no mention is no proof that there is none. */
const managerMayBeHidden = async (round: Round, known: KnownPerson | null, object: RawObject): Promise<boolean> => {
  const manager = known?.record?.manager ?? null;
  if (manager === null || object.manager !== undefined || object.removed) return false;
  const { needs, connection } = round;
  const doc = await needs.store.read(connection.connectionId, "person", ids.person(manager));
  const record = doc ? knownPerson(connection.ring, doc).record : null;
  // Where not everybody is held, he is more likely one of those who are not than somebody in the recycle bin.
  if (!record) return admitsEverybody(await round.rules());
  return (await needs.source.present(connection, "users", [record.oid])).get(record.oid) !== true;
};

const hydrate = async (round: Round, objects: readonly RawObject[]): Promise<Map<string, RawObject | null>> => {
  const wanted = [...new Set(objects.filter((object) => !object.removed).map((object) => object.id))];
  return wanted.length === 0 ? new Map() : round.needs.source.people(round.connection, wanted);
};

const settlePerson = async (round: Round, object: RawObject): Promise<RawObject | null> => {
  const live = await round.needs.source.people(round.connection, [object.id]);
  if (!live.has(object.id)) {
    setAside(round, "person-not-readable", personId(round.connection.ring, object.id));
    round.cursor.suspect = true;
    return null;
  }
  return live.get(object.id) ?? { id: object.id, removed: "deleted", properties: {} };
};
