/**
 * The review: once a day each approved tier is held against what Microsoft grants now. A grant can be taken back without a word to
 * us, and a tier that is seldom used would not notice. What is worse than it was counts when a second look, some minutes later,
 * finds the same; what works again counts at once. It touches no data, and whatever Microsoft does not say clearly changes nothing.
 */
import type { Ambient } from "../ambient.ts";
import { draftEntry } from "../audit/change-log.ts";
import { tenantInUse } from "../connections/open.ts";
import { isRedeemed, type Tier, type TierRecord, tiers } from "../connections/tiers.ts";
import type { ConnectionContext } from "../context.ts";
import { commitEnding, connectionBlamed } from "../directory/run/recover.ts";
import { blamed, isInTrouble } from "../directory/run/trouble.ts";
import { scheduleOf, selfTestMilliseconds } from "../directory/schedule.ts";
import { AppError } from "../errors.ts";
import { type ConnectionDoc, type Head, ids, type ProofDoc, type Stored } from "../store/documents.ts";
import type { DirectoryStore } from "../store/ports.ts";
import { askMicrosoft, effectiveTier, type Seen } from "./effective.ts";
import type { ConsentGateway } from "./ports.ts";

export interface ReviewNeeds {
  ambient: Ambient;
  store: DirectoryStore;
  gateway: Pick<ConsentGateway, "roles">;
  contextFor(doc: ConnectionDoc): Promise<ConnectionContext>;
}

const minute = 60_000;
const dayMilliseconds = 24 * 60 * minute;
/** While a tier does not work: its recovery should not wait for tomorrow. */
const hourMilliseconds = 60 * minute;
/** Between the look that raises a doubt and the one that confirms it. */
export const doubtMilliseconds = 5 * minute;

export const isReviewDue = ({ reviewAt }: Pick<Head, "reviewAt">, now: number): boolean =>
  typeof reviewAt === "number" && reviewAt <= now;

/** Head after a tier was approved, or switched on again. */
export const reviewed = (head: Head, tier: Tier, now: number): Pick<Head, "reviewAt" | "doubts"> => {
  const { [tier]: _, ...doubts } = head.doubts ?? {};
  return { reviewAt: Math.min(head.reviewAt ?? Number.POSITIVE_INFINITY, now + dayMilliseconds), doubts };
};

interface Reviewed {
  head: Stored<Head>;
  doc: Stored<ConnectionDoc>;
}

/** With the lease held, and kept. Null when another worker has it. */
export const reviewTiers =
  (needs: ReviewNeeds) =>
  async (claimed: Stored<Head>, doc: Stored<ConnectionDoc>): Promise<Reviewed | null> => {
    const { ambient, store } = needs;
    let head: Stored<Head> | null;
    try {
      head = await review(needs, claimed, doc);
    } catch (error) {
      // The keys or the database are out of reach: it holds up nothing else.
      if (!(error instanceof AppError)) throw error;
      const reviewAt = ambient.now() + hourMilliseconds;
      head = await commitEnding(needs, claimed, () => ({ advance: (fresh) => ({ ...fresh, reviewAt }) }));
    }
    const after = head && (await store.read(claimed.connectionId, "connection", ids.connection));
    return head && after ? { head, doc: after } : null;
  };

const review = async (
  needs: ReviewNeeds,
  claimed: Stored<Head>,
  doc: Stored<ConnectionDoc>,
): Promise<Stored<Head> | null> => {
  const { ambient, store } = needs;
  const { connectionId } = claimed;
  const found = await look(needs, doc);
  const { ring } = await needs.contextFor(doc);
  return await commitEnding(needs, claimed, async (from) => {
    const { _etag, ...current } = (await store.read(connectionId, "connection", ids.connection)) ?? doc;
    const now = ambient.now();
    const { after, changed, doubts } = judge(current, found, from, now);
    const entries = changed.map(([tier, before, record]) =>
      draftEntry(ambient, ring, connectionId, {
        kind: "tier",
        op: "updated",
        object: tier,
        cause: "review",
        evidence: record.trouble?.code ?? "recovered",
        changes: [
          { field: "state", before: before.state, after: record.state },
          { field: "missing", before: before.missing, after: record.missing },
        ],
      }),
    );
    const attention = current.state === "active" && after.state === "needs-attention" ? after.attention : null;
    const testAt = attention && scheduleOf(after).automatic ? { dueAt: now + selfTestMilliseconds } : {};
    return {
      writes: entries.length > 0 ? [{ op: "replace", doc: after, etag: _etag }] : [],
      entries: attention ? [...entries, connectionBlamed(needs, attention.code, null)] : entries,
      advance: (fresh) => ({ ...fresh, ...testAt, doubts, reviewAt: nextReview(after, found, doubts, now) }),
    };
  });
};

/** Of each tier that was looked at; of one that is left out nothing is known. */
type Found = ReadonlyMap<Tier, { proof: ProofDoc; tid: string; seen: Seen }>;

/** Why reading fails is found out by the runs and self-tests of a connection that is in trouble already. */
const isReviewed = (doc: ConnectionDoc, tier: Tier): boolean =>
  isRedeemed(doc.tiers[tier]) && !(tier === "read" && isInTrouble(doc));

const look = async ({ store, gateway }: ReviewNeeds, doc: ConnectionDoc): Promise<Found> => {
  const found = new Map<Tier, { proof: ProofDoc; tid: string; seen: Seen }>();
  const tid = tenantInUse(doc);
  if (tid === null) return found;
  for (const tier of tiers) {
    if (!isReviewed(doc, tier)) continue;
    const proof = await store.read(doc.connectionId, "proof", ids.proof(tier));
    const seen = proof?.tid === tid ? await askMicrosoft(gateway, tier, tid) : null;
    if (proof && seen) found.set(tier, { proof, tid, seen });
  }
  return found;
};

interface Judged {
  after: ConnectionDoc;
  changed: (readonly [tier: Tier, before: TierRecord, after: TierRecord])[];
  doubts: Doubts;
}

type Doubts = NonNullable<Head["doubts"]>;

const judge = (doc: ConnectionDoc, found: Found, head: Pick<Head, "doubts" | "strikes">, now: number): Judged => {
  const judged: Judged = { after: doc, changed: [], doubts: {} };
  for (const [tier, { proof, tid, seen }] of found) {
    if (!isReviewed(doc, tier)) continue;
    const before = doc.tiers[tier];
    const record = effectiveTier(tier, before, { proof, tid }, seen, now);
    const finding = signature(record);
    if (finding === signature(before)) continue;
    if (record.state !== "active" && head.doubts?.[tier] !== finding) {
      judged.doubts[tier] = finding;
      continue;
    }
    const tiersAfter = { ...judged.after, tiers: { ...judged.after.tiers, [tier]: record } };
    const blames = tier === "read" && "refused" in seen ? blamed(tiersAfter, seen.refused, head.strikes, now) : null;
    judged.after = blames ?? tiersAfter;
    judged.changed.push([tier, before, record]);
  }
  return judged;
};

const signature = ({ state, missing, trouble }: TierRecord): string =>
  [state, ...(trouble ? [trouble.code] : []), ...missing].join(" ");

const nextReview = (doc: ConnectionDoc, found: Found, doubts: Doubts, now: number): number | null => {
  const approved = tiers.filter((tier) => isRedeemed(doc.tiers[tier]));
  if (approved.length === 0) return null;
  if (Object.keys(doubts).length > 0) return now + doubtMilliseconds;
  const settled = approved.every((tier) => doc.tiers[tier].state === "active" && found.has(tier));
  return now + (settled ? dayMilliseconds : hourMilliseconds);
};
