/** A random key that stays where the data stay: what was made under it is understood after a restart. */
import { randomBytes } from "node:crypto";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";

/** 32 bytes. Without a path they live as long as the process. */
export const keptKey = (path: string | undefined): Buffer => {
  const made = randomBytes(32);
  if (path === undefined) return made;
  mkdirSync(dirname(path), { recursive: true });
  try {
    writeFileSync(path, made, { flag: "wx", mode: 0o600 });
    return made;
  } catch {
    return readFileSync(path);
  }
};
