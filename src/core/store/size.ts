/**
 * How large a connection's logical partition is, by estimate. It ends at 20 GB, and then not even head could be written: growth
 * stops well before. Index space is not counted, so the limits leave room for it.
 */
import type { Expiry, Write } from "./ports.ts";

export interface PartitionSize {
  /** Bytes of documents that stay. */
  documents: number;
  /** Bytes of the change log at the time `at`, ms. */
  log: number;
  at: number;
}

export const partitionLimits = { warnAt: 12e9, stopAt: 17e9 };

export const emptySize: PartitionSize = { documents: 0, log: 0, at: 0 };

/**
 * Log documents expire after `logTtl`; what was written when is not remembered. A log that grows evenly holds one lifetime's
 * worth, and so does one that loses the share `dt / logTtl` of itself in every short time `dt`.
 */
const logNow = (size: PartitionSize, now: number, logTtlSeconds: number): number =>
  size.log * Math.exp(-Math.max(0, now - size.at) / (logTtlSeconds * 1000));

export const grown = (
  size: PartitionSize,
  by: { writes: readonly (Write | Expiry)[]; logBytes: number },
  now: number,
  logTtlSeconds: number,
): PartitionSize => ({
  documents: Math.max(0, size.documents + growthOf(by.writes)),
  log: Math.round(logNow(size, now, logTtlSeconds) + by.logBytes),
  at: now,
});

/** Written by whoever holds both versions of a document; a replace that does not say counts as no growth. */
const growthOf = (writes: readonly (Write | Expiry)[]): number => {
  let bytes = 0;
  for (const write of writes) bytes += write.grows ?? (write.op === "create" ? JSON.stringify(write.doc).length : 0);
  return bytes;
};

export const partitionBytes = (size: PartitionSize, now: number, logTtlSeconds: number): number =>
  Math.round(size.documents + logNow(size, now, logTtlSeconds));
