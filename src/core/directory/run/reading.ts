/**
 * Reading: the groups feed, what follows from it, then the users feed and what follows from that - always in this order, because
 * groups may decide who is read of at all. A page is loaded, planned and staged; nothing of the directory is written, and a page
 * that is read again after a crash is staged again, while what it had staged before counts for nothing.
 */
import type { Feed, FeedPage } from "../ports.ts";
import { admitGroups } from "./admitting.ts";
import { decideCandidates } from "./candidates.ts";
import type { Position, Step } from "./cursor.ts";
import { planDerivedGroups } from "./deriving.ts";
import { netMemberships } from "./memberships.ts";
import { readGroups } from "./read-groups.ts";
import { readPeople } from "./read-people.ts";
import { breathe, type Round } from "./round.ts";
import { eventLoopTurn } from "./turns.ts";
import { removeAbsentGroups, removeUnwantedGroups } from "./walk-groups.ts";

const steps: Record<Step, { take(round: Round): Promise<void>; next: Step | null }> = {
  "absent-groups": { take: removeAbsentGroups, next: "admitting" },
  admitting: { take: admitGroups, next: "memberships" },
  memberships: { take: netMemberships, next: "unwanted-groups" },
  "unwanted-groups": { take: removeUnwantedGroups, next: "derived-groups" },
  "derived-groups": { take: planDerivedGroups, next: null },
  candidates: { take: decideCandidates, next: null },
};

export const read = async (round: Round): Promise<void> => {
  while (round.cursor.at.phase === "reading") {
    const { at } = round.cursor;
    if ("feed" in at) {
      await readFeed(round, at.feed);
      continue;
    }
    const step = steps[at.step];
    await step.take(round);
    if (step.next) round.cursor.at = { phase: "reading", step: step.next, after: "" };
    else if (at.step === "derived-groups")
      round.cursor.at = { phase: "reading", feed: "users", link: startLink(round, "users") };
    else round.cursor.at = { phase: "weighing", after: "" };
  }
};

/** To its end: the delta link. */
const readFeed = async (round: Round, feed: Feed): Promise<void> => {
  let ahead: Promise<FeedPage> | null = null;
  for (;;) {
    const { at } = round.cursor;
    if (!("feed" in at) || at.feed !== feed) return;
    const page: FeedPage = await (ahead ?? round.needs.source.page(round.connection, feed, at.link));
    ahead = page.next === null ? null : fetchAhead(round, feed, page.next);
    if (ahead) await eventLoopTurn();
    if (feed === "users") await readPeople(round, page.objects);
    else if (page.objects.length > 0) await readGroups(round, page.objects);
    if (page.next === null) {
      round.cursor.newLinks[feed] = page.delta as string;
      round.cursor.at = afterFeed(round, feed);
    } else round.cursor.at = { phase: "reading", feed, link: page.next };
    await breathe(round);
  }
};

/** Where no group was told of and all were stored under these settings, nothing follows from them, however many there are. */
const afterFeed = (round: Round, feed: Feed): Position => {
  if (feed === "users") return { phase: "reading", step: "candidates", after: "" };
  const { cursor, counts } = round;
  const quiet = !cursor.full.groups && !cursor.again.groups && counts.groupsRead === 0;
  return quiet
    ? { phase: "reading", feed: "users", link: startLink(round, "users") }
    : { phase: "reading", step: "absent-groups", after: "" };
};

/** Asks for a page while the one before is worked on. A failure shows when its turn has come, or never if the slice ends first. */
const fetchAhead = (round: Round, feed: Feed, link: string): Promise<FeedPage> => {
  const page = round.needs.source.page(round.connection, feed, link);
  page.catch(() => undefined);
  return page;
};

/** Where a feed starts: at the link of the last round, or from nothing when it has to be read in full. */
const startLink = (round: Round, feed: Feed): string | null =>
  round.cursor.full[feed] ? null : (round.links?.[feed] ?? null);
