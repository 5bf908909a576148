/**
 * The `clientState` of a subscription: Graph returns it with every notification, and it proves itself, so that the receiver
 * needs no store. `<key id>.<feed>.<HMAC-SHA-256 of the feed>`, each base64url, 95 characters of the 128 that Graph keeps.
 * A replayed one can do no more than have a directory looked at that is looked at anyway.
 * https://learn.microsoft.com/graph/api/resources/subscription
 */
import { createHmac, timingSafeEqual } from "node:crypto";
import { z } from "zod";
import { type Feed, type FeedResource, feedResources } from "./feed.ts";

export interface NotificationKey {
  /** Follows from the secret, so that nobody can give two secrets one name. */
  id: string;
  secret: Buffer;
}

/** Newest first: it signs, all verify. */
export type NotificationKeys = readonly [NotificationKey, ...NotificationKey[]];

/** One byte in the packed feed, after the two ids. Never changed, because subscriptions live for weeks. */
const codes: Readonly<Record<FeedResource, number>> = { users: 1, groups: 2 };

const idBytes = 16;
const packedBytes = 2 * idBytes + 1;

const mac = (secret: Buffer, purpose: string, data: Buffer | string): Buffer =>
  createHmac("sha256", secret).update(purpose).update("\0").update(data).digest();

export const notificationKey = (secret: Buffer): NotificationKey => ({
  id: mac(secret, "key-id", "").subarray(0, 4).toString("base64url"),
  secret,
});

const secretBytes = 32;

/** One or two secrets in base64url, newest first, with a comma between them. Each has one spelling only. */
export const notificationKeys = z.string().transform((text, context): NotificationKeys => {
  const parts = text.split(",").map((part) => part.trim());
  const secrets = parts.map((part) => Buffer.from(part, "base64url"));
  const isExact = secrets.every(
    (secret, at) => secret.length === secretBytes && secret.toString("base64url") === parts[at],
  );
  const [newest, older, ...more] = secrets.map(notificationKey);
  if (!newest || more.length > 0 || !isExact || older?.id === newest.id) {
    context.addIssue({ code: "custom", message: "is not one key of 32 bytes in base64url, or two different ones" });
    return z.NEVER;
  }
  return older ? [newest, older] : [newest];
});

export const clientStateFor = ([newest]: NotificationKeys, feed: Feed): string => signed(newest, packed(feed));

/** The feed that a genuine `clientState` names; null for anything else. */
export const feedOf = (keys: NotificationKeys, clientState: string): Feed | null => {
  const [keyId, body = ""] = clientState.split(".", 2);
  const key = keys.find(({ id }) => id === keyId);
  const bytes = Buffer.from(body, "base64url");
  if (!key || bytes.length !== packedBytes) return null;
  // The whole text is compared: there is one spelling of each state, and none of its parts is trusted before.
  return isSame(signed(key, bytes), clientState) ? unpacked(bytes) : null;
};

const signed = (key: NotificationKey, bytes: Buffer): string =>
  `${key.id}.${bytes.toString("base64url")}.${mac(key.secret, "client-state", bytes).toString("base64url")}`;

const isSame = (expected: string, given: string): boolean => {
  const [one, other] = [Buffer.from(expected), Buffer.from(given)];
  return one.length === other.length && timingSafeEqual(one, other);
};

const packed = ({ clientId, tenantId, resource }: Feed): Buffer =>
  Buffer.concat([
    ...[clientId, tenantId].map((id) => Buffer.from(id.replaceAll("-", ""), "hex")),
    Buffer.of(codes[resource]),
  ]);

const unpacked = (bytes: Buffer): Feed | null => {
  const resource = feedResources.find((name) => codes[name] === bytes.at(-1));
  if (resource === undefined) return null;
  return { clientId: guidAt(bytes, 0), tenantId: guidAt(bytes, idBytes), resource };
};

const guidAt = (bytes: Buffer, start: number): string =>
  bytes.toString("hex", start, start + idBytes).replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
