/** Choices and ids that follow from a seed alone. */
import { hash } from "node:crypto";
import { generateMersenne53Randomizer } from "@faker-js/faker";

export interface Random {
  /** A whole number, 0 <= n < limit. */
  below(limit: number): number;
  chance(probability: number): boolean;
  pick<T>(items: readonly T[]): T;
  /** `weight` is relative to the others'. */
  weighted<T extends { weight: number }>(items: readonly T[]): T;
}

const digest = (parts: readonly (string | number)[]): string => hash("sha256", JSON.stringify(parts), "hex");

/** Different parts give streams that have nothing to do with each other. */
export function randomOf(...parts: (string | number)[]): Random {
  const words = digest(parts).match(/.{8}/g) ?? [];
  const source = generateMersenne53Randomizer();
  source.seed(words.map((word) => Number.parseInt(word, 16)));
  const below = (limit: number): number => Math.floor(source.next() * limit);
  const pick = <T>(items: readonly T[]): T => {
    const item = items[below(items.length)];
    if (item === undefined) throw new RangeError("Nothing to pick from");
    return item;
  };
  return {
    below,
    chance: (probability) => source.next() < probability,
    pick,
    weighted(items) {
      let left = source.next() * items.reduce((sum, item) => sum + item.weight, 0);
      for (const item of items) {
        left -= item.weight;
        if (left < 0) return item;
      }
      return pick(items);
    },
  };
}

/** A version 4 shaped GUID that follows from its parts. */
export function guidOf(...parts: (string | number)[]): string {
  const hex = digest(parts);
  const variant = "89ab"[Number.parseInt(hex.charAt(16), 16) % 4] ?? "8";
  return [
    hex.slice(0, 8),
    hex.slice(8, 12),
    `4${hex.slice(13, 16)}`,
    variant + hex.slice(17, 20),
    hex.slice(20, 32),
  ].join("-");
}
