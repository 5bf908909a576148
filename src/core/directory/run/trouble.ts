/**
 * A connection in trouble: consent is lost (`needs-attention`), or runs failed again and again for a cause that is not ours
 * (quarantine). The schedule starts no runs of it; once an hour it is tried out, and what passes is taken up again.
 */
import { iso } from "../../ambient.ts";
import { refusedTier, working } from "../../connections/tiers.ts";
import type { AppError, ProblemCode } from "../../errors.ts";
import type { ConnectionDoc, Head, Stored } from "../../store/documents.ts";
import type { Write } from "../../store/ports.ts";

/** Failed runs in a row, each of several attempts: with their back-off about three hours. */
const strikesToQuarantine = 8;

/** Microsoft's side or the organisation's. Our database, our keys, our faults and our own credential blame nobody. */
const theirs: ReadonlySet<ProblemCode> = new Set([
  "graph-unavailable",
  "graph-refused",
  "graph-foreign-link",
  "sign-in-unavailable",
]);

export const isInTrouble = (doc: Pick<ConnectionDoc, "state" | "quarantine">): boolean =>
  doc.state === "needs-attention" || (doc.state === "active" && Boolean(doc.quarantine));

export const strikesAfter = ({ strikes }: Pick<Head, "strikes">, failure: AppError): number =>
  theirs.has(failure.code) ? strikes + 1 : strikes;

/** The connection after a run or a self-test has failed; null when that says nothing new of it. */
export const blamed = (doc: ConnectionDoc, failure: AppError, strikes: number, now: number): ConnectionDoc | null => {
  const { code } = failure;
  if (failure.kind === "not-consented") {
    if (doc.state === "needs-attention" && doc.attention?.code === code) return null;
    const since = doc.attention?.since ?? iso(now);
    const tiers = { ...doc.tiers, read: refusedTier(doc.tiers.read, failure, now) };
    return { ...doc, tiers, state: "needs-attention", attention: { code, since }, quarantine: null };
  }
  if (doc.state !== "active" || !theirs.has(code) || strikes < strikesToQuarantine) return null;
  if (doc.quarantine?.code === code && doc.quarantine.failures === strikes) return null;
  return { ...doc, quarantine: { code, since: doc.quarantine?.since ?? iso(now), failures: strikes } };
};

/** What a review found beside that - permissions that are missing, and are not needed for a run - stands until the next one. */
export const recoveredConnection = ({ _etag, ...doc }: Stored<ConnectionDoc>): Write => {
  const tiers = doc.state === "needs-attention" ? { ...doc.tiers, read: working } : doc.tiers;
  return { op: "replace", doc: { ...doc, state: "active", attention: null, quarantine: null, tiers }, etag: _etag };
};
