/** A vault in memory: `values` is what is in it. */
import type { SecretStore } from "../../src/core/store/ports.ts";

export interface MemorySecrets extends SecretStore {
  values: Map<string, string>;
}

export const memorySecrets = (): MemorySecrets => {
  const values = new Map<string, string>();
  return {
    values,
    get: async (name) => values.get(name) ?? null,
    set: async (name, value) => void values.set(name, value),
    delete: async (name) => void values.delete(name),
  };
};
