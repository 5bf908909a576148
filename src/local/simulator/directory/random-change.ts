/**
 * Random life in a directory. A happening is what a tenant would call one event - somebody is hired, two people swap
 * addresses - and takes one mutation or several; mutations are applied while they are chosen, so each is valid after the
 * one before it.
 */
import { groupHappenings } from "./group-happenings.ts";
import { personHappenings } from "./person-happenings.ts";
import { createScene, type HappeningKind, type SceneOptions } from "./scene.ts";
import type { Mutation } from "./state.ts";

export const happeningKinds: readonly HappeningKind[] = [...personHappenings, ...groupHappenings];

export interface Happening {
  name: string;
  mutations: Mutation[];
}

export interface RandomChangeOptions extends SceneOptions {
  /** Number of happenings; each is at least one mutation. */
  count: number;
}

export function randomHappenings(options: RandomChangeOptions): Happening[] {
  let mutations: Mutation[] = [];
  const scene = createScene(options, (mutation) => {
    options.directory.apply(mutation);
    mutations.push(mutation);
  });
  const happenings: Happening[] = [];
  while (happenings.length < options.count) {
    const kind = scene.random.weighted(happeningKinds);
    mutations = [];
    if (kind.happen(scene)) happenings.push({ name: kind.name, mutations });
  }
  return happenings;
}

/** The mutations, already applied to the directory, in the order they were. */
export const randomChanges = (options: RandomChangeOptions): Mutation[] =>
  randomHappenings(options).flatMap(({ mutations }) => mutations);
