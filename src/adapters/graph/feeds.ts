/** What is asked of the two delta feeds, and how an object of an answer becomes a `RawObject`. */

import type { Settings } from "../../core/connections/settings.ts";
import { attributeCatalogue, groupAttributes } from "../../core/directory/attributes.ts";
import type { Feed, RawObject } from "../../core/directory/ports.ts";
import { propertiesFor } from "../../core/directory/records.ts";
import { AppError } from "../../core/errors.ts";
import { isObject, type JsonObject } from "./answers.ts";

interface FeedShape {
  /** What may be in an answer of it. */
  attributes: readonly string[];
  /** Selected beside the attributes; arrives as `<relation>@delta`. */
  relation: "manager" | "members";
  type: string;
}

export const feeds: Readonly<Record<Feed, FeedShape>> = {
  users: { attributes: Object.keys(attributeCatalogue), relation: "manager", type: "user" },
  groups: { attributes: Object.keys(groupAttributes), relation: "members", type: "group" },
};

/** What the settings ask for. */
export const attributesOf = (feed: Feed, settings: Pick<Settings, "attributes">): readonly string[] =>
  feed === "users" ? propertiesFor(settings.attributes) : feeds.groups.attributes;

/** Query options are baked into links: another list needs a new first read. */
export const selectOf = (feed: Feed, settings: Pick<Settings, "attributes">): string =>
  ["id", ...attributesOf(feed, settings), feeds[feed].relation].join(",");

export const malformed = (what: string): AppError =>
  new AppError("graph-unavailable", { detail: `${what} without the documented form` });

const idOf = (object: JsonObject): string => {
  if (typeof object.id !== "string" || object.id === "") throw malformed("an object");
  return object.id.toLowerCase();
};

/** `#microsoft.graph.user` -> `user`; Graph leaves the type out where only one is expected. */
const typeOf = (object: JsonObject): string | null =>
  typeof object["@odata.type"] === "string" ? object["@odata.type"].replace(/^#?microsoft\.graph\./i, "") : null;

/** Derived types are not people: `agentUser` is the account of an AI agent. */
const isOf = (feed: Feed, object: JsonObject): boolean => (typeOf(object) ?? feeds[feed].type) === feeds[feed].type;

const selected = (feed: Feed, object: JsonObject): Record<string, unknown> => {
  const properties: Record<string, unknown> = {};
  for (const name of feeds[feed].attributes) if (name in object) properties[name] = object[name];
  return properties;
};

const objects = (value: unknown, what: string): JsonObject[] => {
  if (!Array.isArray(value) || !value.every(isObject)) throw malformed(what);
  return value;
};

export const memberOf = (object: JsonObject): { id: string; type: string } => ({
  id: idOf(object),
  type: typeOf(object) ?? "unknown",
});

/** The objects of a delta page. Objects of derived types are left out. */
export const feedObjects = (feed: Feed, body: JsonObject): RawObject[] =>
  objects(body.value, "a page")
    .filter((object) => isOf(feed, object))
    .map((object) => feedObject(feed, object));

const feedObject = (feed: Feed, object: JsonObject): RawObject => {
  const raw: RawObject = { id: idOf(object), properties: selected(feed, object) };
  const removed = object["@removed"];
  // An unknown reason is taken for the milder one, which keeps the record's mapping.
  if (removed) raw.removed = isObject(removed) && removed.reason === "deleted" ? "deleted" : "changed";
  const { relation } = feeds[feed];
  const delta = object[`${relation}@delta`];
  if (delta === undefined) return raw;
  const entries = objects(delta, relation).map((entry) => ({
    ...memberOf(entry),
    removed: Boolean(entry["@removed"]),
  }));
  if (relation === "members") return { ...raw, members: entries };
  return { ...raw, manager: entries.map(({ id, removed: gone }) => ({ id, removed: gone })) };
};

export const memberObjects = (body: JsonObject): { id: string; type: string }[] =>
  objects(body.value, "a page").map(memberOf);

/** A person read live with `$expand=manager`, which is left out when there is none. Null: the account is not a person's. */
export const livePerson = (body: JsonObject): RawObject | null => {
  if (!isOf("users", body)) return null;
  const manager = isObject(body.manager) ? [{ id: idOf(body.manager), removed: false }] : [];
  return { id: idOf(body), properties: selected("users", body), manager };
};

export const liveGroup = (body: JsonObject): RawObject => ({ id: idOf(body), properties: selected("groups", body) });
