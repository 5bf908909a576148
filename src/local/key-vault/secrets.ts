/**
 * The secrets of one vault with versions and soft delete, kept in a JSON file when one is named. Every change is on disk,
 * synchronised and renamed into place, before it is reported done.
 */
import { randomBytes } from "node:crypto";
import {
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  writeFileSync,
} from "node:fs";
import { dirname } from "node:path";
import { z } from "zod";

const Attributes = z.object({
  enabled: z.boolean(),
  /** Unix seconds, as all times here. */
  created: z.number(),
  updated: z.number(),
  nbf: z.number().optional(),
  exp: z.number().optional(),
});

const Version = z.object({
  version: z.string(),
  value: z.string(),
  contentType: z.string().optional(),
  tags: z.record(z.string(), z.string()).optional(),
  attributes: Attributes,
});

const Secret = z.object({
  /** As first written; names are compared without case. */
  name: z.string(),
  /** Oldest first. */
  versions: z.array(Version).min(1),
  deletedDate: z.number().optional(),
});

const VaultFile = z.object({ format: z.literal(1), secrets: z.array(Secret) });

export type SecretVersion = z.infer<typeof Version>;
export type StoredSecret = z.infer<typeof Secret>;

export const recoverableDays = 7;

export interface SecretChanges {
  contentType?: string | undefined;
  tags?: Record<string, string> | undefined;
  attributes?: { enabled?: boolean | undefined; nbf?: number | undefined; exp?: number | undefined } | undefined;
}

export interface Secrets {
  /** Live and deleted ones, by name. */
  all(): StoredSecret[];
  find(name: string): StoredSecret | undefined;
  set(name: string, value: string, changes: SecretChanges): SecretVersion;
  update(version: SecretVersion, changes: SecretChanges): void;
  markDeleted(secret: StoredSecret): void;
  recover(secret: StoredSecret): void;
}

export const createSecrets = (file: string | undefined, now: () => number): Secrets => {
  const secrets = new Map<string, StoredSecret>();
  const seconds = () => Math.floor(now() / 1000);
  if (file !== undefined && existsSync(file))
    for (const secret of VaultFile.parse(JSON.parse(readFileSync(file, "utf8"))).secrets)
      secrets.set(secret.name.toLowerCase(), secret);

  const save = (): void => {
    if (file !== undefined) replaceFile(file, JSON.stringify({ format: 1, secrets: [...secrets.values()] }));
  };
  /** The service purges by itself when the days of recovery are over. */
  const purgeExpired = (): void => {
    for (const [key, { deletedDate }] of secrets)
      if (deletedDate !== undefined && deletedDate + recoverableDays * 86_400 <= seconds()) secrets.delete(key);
  };

  return {
    all: () => {
      purgeExpired();
      return [...secrets.values()].toSorted((a, b) => (a.name < b.name ? -1 : 1));
    },
    find: (name) => {
      purgeExpired();
      return secrets.get(name.toLowerCase());
    },
    set: (name, value, changes) => {
      const version: SecretVersion = {
        version: randomBytes(16).toString("hex"),
        value,
        attributes: { enabled: true, created: seconds(), updated: seconds() },
      };
      change(version, changes);
      const existing = secrets.get(name.toLowerCase());
      if (existing) existing.versions.push(version);
      else secrets.set(name.toLowerCase(), { name, versions: [version] });
      save();
      return version;
    },
    update: (version, changes) => {
      change(version, changes);
      version.attributes.updated = seconds();
      save();
    },
    markDeleted: (secret) => {
      secret.deletedDate = seconds();
      save();
    },
    recover: (secret) => {
      delete secret.deletedDate;
      save();
    },
  };
};

/** What is not named stays; tags are replaced as a whole. */
const change = (version: SecretVersion, { contentType, tags, attributes }: SecretChanges): void => {
  if (contentType !== undefined) version.contentType = contentType;
  if (tags !== undefined) version.tags = tags;
  if (attributes?.enabled !== undefined) version.attributes.enabled = attributes.enabled;
  if (attributes?.nbf !== undefined) version.attributes.nbf = attributes.nbf;
  if (attributes?.exp !== undefined) version.attributes.exp = attributes.exp;
};

const replaceFile = (file: string, content: string): void => {
  const folder = dirname(file);
  mkdirSync(folder, { recursive: true });
  const fresh = `${file}.${process.pid}.new`;
  const handle = openSync(fresh, "w", 0o600);
  try {
    writeFileSync(handle, content);
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
  renameSync(fresh, file);
  const folderHandle = openSync(folder, "r");
  try {
    fsyncSync(folderHandle);
  } finally {
    closeSync(folderHandle);
  }
};
