/**
 * Seals what one document holds under the keys of today. What was sealed with them already stays as it is, so doing it twice does
 * no harm. Documents that expire are left alone: writing them again would put off their end, and the former keys stay until then.
 * So is what was altered: it opens with no key any more, and must not keep all that comes after it under the former ones.
 */
import type { Ambient } from "../ambient.ts";
import { unlessBroken } from "../audit/content.ts";
import { longestLogSeconds } from "../audit/retention.ts";
import { type KeyRing, openPersonKey, renewPersonKey } from "../crypto/key-ring.ts";
import { type ContentKey, open, type Place, type Sealed, seal, sealedUnder } from "../crypto/seal.ts";
import { personPlace, productUserPlace } from "../directory/places.ts";
import { cursorPlace, linksPlace, runKeyPlace } from "../directory/run/round.ts";
import { type DirectoryDoc, type Head, type Kind, type PersonDoc, personOf } from "../store/documents.ts";

/** Longer than anything that a key of before the rekey has sealed can stay: the log, and a day for clocks. */
export const formerMilliseconds = longestLogSeconds * 1000 + 86_400_000;

export interface Resealing {
  ambient: Ambient;
  ring: KeyRing;
  connectionId: string;
}

/** Members that hold what names no person; each is sealed in the place that its document and its name make. */
const sealedMembers: { readonly [K in Kind]?: readonly string[] } = {
  connection: ["displayName", "settingsBy"],
  proof: ["administrator"],
  security: ["grants"],
  settings: ["by"],
  blacklist: ["entries"],
  "product-groups": ["groups"],
  group: ["record"],
  operation: ["target"],
};

/** The same document; another one only when there was something to seal again. */
export const resealed = <D extends DirectoryDoc>(by: Resealing, doc: D): D => {
  if (doc.ttl !== undefined) return doc;
  if (doc.kind === "person") return { ...doc, ...unlessBroken(() => resealedPerson(by, doc)) };
  const changed = (sealedMembers[doc.kind] ?? []).flatMap((name) => {
    const text = Object.entries(doc).find(([member]) => member === name)?.[1] as Sealed<unknown> | null;
    if (text === null) return [];
    const place: Place = { container: "directory", partition: by.connectionId, document: doc.id, fields: name };
    const again = under(by, by.ring.sealing, place, text);
    return again === text ? [] : [[name, again]];
  });
  return changed.length === 0 ? doc : { ...doc, ...Object.fromEntries(changed) };
};

/** Between two slices of a run: what its worker writes next it seals with the keys of today itself. */
export const resealedHead = (by: Resealing, head: Head): Head => {
  const { connectionId, ring } = by;
  const { links, run } = head;
  const again = <T>(place: Place, text: Sealed<T>): Sealed<T> => under(by, ring.sealing, place, text);
  return {
    ...head,
    links: links && again(linksPlace(connectionId), links),
    run: run && {
      ...run,
      key: again(runKeyPlace(connectionId, run.id), run.key),
      cursor: again(cursorPlace(connectionId, run.id), run.cursor),
    },
  };
};

/** A new key for the person: who had the old one would read on. The old one stays for what the log holds, until that expires. */
const resealedPerson = (by: Resealing, doc: PersonDoc): Pick<PersonDoc, "key" | "record" | "productUser"> => {
  const { ambient, ring, connectionId } = by;
  const { key: wrapped, record, productUser } = doc;
  if (!wrapped || sealedUnder(wrapped.wrapped) === ring.wrapping.id) return { key: wrapped, record, productUser };
  const id = personOf(doc.id);
  const until = ambient.now() + formerMilliseconds;
  const renewed = renewPersonKey(ambient, ring, connectionId, id, wrapped, until);
  // Opened with the key as it was: the new one has dropped what came long before.
  const before = openPersonKey(ring, connectionId, id, wrapped);
  const again = <T>(place: Place, text: Sealed<T>): Sealed<T> =>
    unlessBroken(() => seal(ambient, renewed.key, place, open(before, place, text))) ?? text;
  return {
    key: renewed.wrapped,
    record: record && again(personPlace(connectionId, id), record),
    productUser: productUser && {
      ...productUser,
      value: again(productUserPlace(connectionId, id), productUser.value),
    },
  };
};

const under = <T>({ ambient }: Resealing, key: ContentKey, place: Place, text: Sealed<T>): Sealed<T> =>
  (sealedUnder(text) === key.id ? null : unlessBroken(() => seal(ambient, key, place, open(key, place, text)))) ?? text;
