/**
 * How a route addresses somebody who is not stored: the object id, sealed, as live search has handed it out. It opens on its
 * own connection only, and for an hour.
 */
import type { Ambient } from "../ambient.ts";
import type { ConnectionContext } from "../context.ts";
import { personId } from "../crypto/key-ring.ts";
import { open, type Place, SealBroken, type Sealed, seal } from "../crypto/seal.ts";
import { AppError } from "../errors.ts";

interface Content {
  oid: string;
  expiresAt: number;
}

export const refMilliseconds = 3_600_000;

type Connection = Pick<ConnectionContext, "connectionId" | "ring">;

const place = (connectionId: string): Place => ({
  container: "ref",
  partition: connectionId,
  document: "",
  fields: "object id",
});

export const sealRef = (ambient: Ambient, { connectionId, ring }: Connection, oid: string): string => {
  const content: Content = { oid, expiresAt: ambient.now() + refMilliseconds };
  return seal(ambient, ring.sealing, place(connectionId), content);
};

/**
 * The object id. Throws `invalid-ref` for everything that is not a living reference of this connection, or is one to another
 * person than `expected`.
 */
export const openRef = (
  ambient: Pick<Ambient, "now">,
  { connectionId, ring }: Connection,
  ref: string,
  expected?: string,
): string => {
  const content = opened(ring, connectionId, ref);
  const isMeant = content && (expected === undefined || personId(ring, content.oid) === expected);
  if (!isMeant || content.expiresAt <= ambient.now()) throw new AppError("invalid-ref", { field: "ref" });
  return content.oid;
};

const opened = (ring: Connection["ring"], connectionId: string, ref: string): Content | null => {
  try {
    return open(ring.sealing, place(connectionId), ref as Sealed<Content>);
  } catch (error) {
    if (error instanceof SealBroken) return null;
    throw error;
  }
};
