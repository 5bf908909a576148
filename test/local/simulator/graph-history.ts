/** A tenant's feed told in two parts: an initial round, and the round after some changes. */
import type { Mutation } from "../../../src/local/simulator/directory/state.ts";
import { calm, type TraitChanges } from "../../../src/local/simulator/graph/switches.ts";
import { graphScene, groupSelect, guid, idOf, type Json, readRound, related, user, userSelect } from "./graph-scene.ts";

export const usersStart = `/users/delta?$select=${userSelect}`;
export const groupsStart = `/groups/delta?$select=${groupSelect}`;

/** A scene that begins with `before`, and the round that tells of `changes`. */
export const afterwards = async (
  feed: "users" | "groups",
  before: Mutation[],
  changes: Mutation[],
  traits: TraitChanges = {},
) => {
  const scene = graphScene({ traits: { ...calm, ...traits } });
  const apply = (mutations: Mutation[]) => {
    for (const mutation of mutations) {
      scene.directory.apply(mutation);
      // the feeds see each change when it is made, as they do behind the control port
      void scene.ask("/organization");
    }
  };
  apply(before);
  const initial = await readRound(scene.ask, feed === "users" ? usersStart : groupsStart);
  apply(changes);
  const next = await readRound(scene.ask, initial.deltaLink);
  return { ...scene, apply, initial, next };
};

export const people = (count: number): Mutation[] => Array.from({ length: count }, (_, at) => user(at + 1));
export const pairs = (from: number, to: number): [string, "user"][] =>
  Array.from({ length: to - from + 1 }, (_, at) => [guid(from + at), "user"]);
export const occurrences = (entries: Json[], id: string): Json[] => entries.filter((entry) => idOf(entry) === id);
export const memberIds = (entries: Json[]): string[] =>
  entries.flatMap((entry) => related(entry, "members@delta")).map(idOf);
