/** What each request to the vault does, and the shapes of its answers. */
import { z } from "zod";
import type { SimRequest, SimResponse } from "../simulator/http.ts";
import { recoverableDays, type Secrets, type SecretVersion, type StoredSecret } from "./secrets.ts";

export type KeyVaultOperation =
  | "set"
  | "get"
  | "update"
  | "delete"
  | "list"
  | "list-versions"
  | "get-deleted"
  | "list-deleted"
  | "recover"
  | "purge";

/** An answer of the vault that is no success. */
export class Failure extends Error {
  readonly response: SimResponse;
  constructor(status: number, code: string, message: string, inner?: string, headers: Record<string, string> = {}) {
    super(message);
    const innererror = inner === undefined ? {} : { innererror: { code: inner } };
    this.response = { status, headers, body: { error: { code, message, ...innererror } } };
  }
}

const maxValueBytes = 25 * 1024;
const maxTags = 15;
const maxPage = 25;
const secretName = /^[0-9a-zA-Z-]{1,127}$/;

const Changes = z.object({
  contentType: z.string().max(255).optional(),
  tags: z.record(z.string().max(256), z.string().max(256)).optional(),
  attributes: z
    .object({ enabled: z.boolean().optional(), nbf: z.number().optional(), exp: z.number().optional() })
    .optional(),
});
const NewSecret = Changes.extend({ value: z.string() });

export interface VaultCall {
  operation: KeyVaultOperation;
  /** Empty for lists of the whole vault. */
  name: string;
  /** Empty means the newest. */
  version: string;
}

interface Context extends VaultCall {
  secrets: Secrets;
  /** Live or deleted. */
  secret: StoredSecret | undefined;
  request: SimRequest;
  origin: string;
}

export const perform = (secrets: Secrets, call: VaultCall, request: SimRequest): SimResponse => {
  const whole = call.operation === "list" || call.operation === "list-deleted";
  if (!whole && !secretName.test(call.name))
    throw new Failure(400, "BadParameter", `'${call.name}' is not a name of a secret.`);
  return handlers[call.operation]({
    ...call,
    secrets,
    secret: secrets.find(call.name),
    request,
    origin: request.url.origin,
  });
};

const handlers: Record<KeyVaultOperation, (context: Context) => SimResponse> = {
  set: ({ secrets, secret, name, request, origin }) => {
    if (secret && !isLive(secret))
      throw new Failure(
        409,
        "Conflict",
        `${name} is deleted but recoverable; its name cannot be used.`,
        "ObjectIsDeletedButRecoverable",
      );
    const { value, ...changes } = parsed(NewSecret, request.body);
    if (Buffer.byteLength(value) > maxValueBytes)
      throw new Failure(400, "BadParameter", "The value is longer than 25 KB.");
    refuseTooManyTags(changes.tags);
    return ok(bundle(origin, secret?.name ?? name, secrets.set(name, value, changes)));
  },
  get: ({ secret, name, version, origin }) => {
    const found = versionOf(secret, name, version);
    if (!found.version.attributes.enabled)
      throw new Failure(403, "Forbidden", "A disabled secret cannot be read.", "SecretDisabled");
    return ok(bundle(origin, found.secret.name, found.version));
  },
  update: ({ secrets, secret, name, version, request, origin }) => {
    const found = versionOf(secret, name, version);
    const changes = parsed(Changes, request.body);
    refuseTooManyTags(changes.tags);
    secrets.update(found.version, changes);
    return ok(withoutValue(bundle(origin, found.secret.name, found.version)));
  },
  "list-versions": ({ secret, name, request, origin }) => {
    const found = versionOf(secret, name, "").secret;
    return pageOf(
      request,
      found.versions.map((one) => withoutValue(bundle(origin, found.name, one))),
    );
  },
  list: ({ secrets, request, origin }) => {
    const live = secrets.all().filter(isLive);
    return pageOf(
      request,
      live.map((secret) => listed(origin, secret)),
    );
  },
  "list-deleted": ({ secrets, request, origin }) => {
    const deleted = secrets.all().filter((secret) => !isLive(secret));
    return pageOf(
      request,
      deleted.map((secret) => ({ ...listed(origin, secret), ...deletion(origin, secret) })),
    );
  },
  delete: ({ secrets, secret, name, origin }) => {
    const found = versionOf(secret, name, "").secret;
    secrets.markDeleted(found);
    return ok(deletedBundle(origin, found));
  },
  "get-deleted": ({ secret, name, origin }) => ok(deletedBundle(origin, deletedSecret(secret, name))),
  recover: ({ secrets, secret, name, origin }) => {
    const found = deletedSecret(secret, name);
    secrets.recover(found);
    return ok(withoutValue(bundle(origin, found.name, newest(found))));
  },
  purge: () => {
    throw new Failure(403, "Forbidden", "The caller may not purge secrets.", "ForbiddenByRbac");
  },
};

const parsed = <T>(schema: z.ZodType<T>, body: string): T => {
  let json: unknown;
  try {
    json = JSON.parse(body);
  } catch {
    throw new Failure(400, "BadParameter", "The body is not JSON.");
  }
  const result = schema.safeParse(json);
  if (!result.success) throw new Failure(400, "BadParameter", z.prettifyError(result.error));
  return result.data;
};

const refuseTooManyTags = (tags: Record<string, string> = {}): void => {
  if (Object.keys(tags).length > maxTags) throw new Failure(400, "BadParameter", `More than ${maxTags} tags.`);
};

const isLive = ({ deletedDate }: StoredSecret): boolean => deletedDate === undefined;

const newest = ({ versions }: StoredSecret): SecretVersion => {
  const last = versions.at(-1);
  if (!last) throw new Error("A secret without versions.");
  return last;
};

const versionOf = (secret: StoredSecret | undefined, name: string, wanted: string) => {
  const version =
    secret &&
    isLive(secret) &&
    (wanted === "" ? newest(secret) : secret.versions.find((one) => one.version === wanted));
  if (!secret || !version)
    throw new Failure(404, "SecretNotFound", `A secret with (name/id) ${name}/${wanted} was not found.`);
  return { secret, version };
};

const deletedSecret = (secret: StoredSecret | undefined, name: string): StoredSecret => {
  if (!secret || isLive(secret)) throw new Failure(404, "SecretNotFound", `Deleted Secret not found: ${name}`);
  return secret;
};

const ok = (body: object): SimResponse => ({ status: 200, headers: { "cache-control": "no-cache" }, body });

const bundle = (origin: string, name: string, { version, attributes, ...rest }: SecretVersion) => ({
  ...rest,
  id: `${origin}/secrets/${name}/${version}`,
  attributes: { ...attributes, recoveryLevel: "CustomizedRecoverable", recoverableDays },
});

const withoutValue = ({ value: _value, ...rest }: ReturnType<typeof bundle>) => rest;

/** A list of secrets names no version. */
const listed = (origin: string, secret: StoredSecret) => ({
  ...withoutValue(bundle(origin, secret.name, newest(secret))),
  id: `${origin}/secrets/${secret.name}`,
});

const deletion = (origin: string, { name, deletedDate = 0 }: StoredSecret) => ({
  recoveryId: `${origin}/deletedsecrets/${name}`,
  deletedDate,
  scheduledPurgeDate: deletedDate + recoverableDays * 86_400,
});

const deletedBundle = (origin: string, secret: StoredSecret) => ({
  ...withoutValue(bundle(origin, secret.name, newest(secret))),
  ...deletion(origin, secret),
});

/** Pages like the service's, with an absolute link that names where to go on. */
const pageOf = ({ url }: SimRequest, items: object[]): SimResponse => {
  const size = Number(url.searchParams.get("maxresults") ?? maxPage);
  if (!Number.isInteger(size) || size < 1 || size > maxPage)
    throw new Failure(400, "BadParameter", "maxresults is 1 to 25.");
  const start = Number(url.searchParams.get("$skiptoken") ?? 0);
  if (!Number.isInteger(start) || start < 0) throw new Failure(400, "BadParameter", "The skip token is malformed.");
  const next = new URL(url);
  next.searchParams.set("$skiptoken", String(start + size));
  return ok({ value: items.slice(start, start + size), nextLink: start + size < items.length ? next.href : null });
};
