/**
 * Somebody who signs in and whom no sync has brought yet is added at that moment, where the settings say so: by the rules of a run,
 * in one commit with its record, and let in only after that.
 */
import type { Ambient } from "../ambient.ts";
import { logSecondsOf } from "../audit/retention.ts";
import type { OpenNeeds } from "../connections/open.ts";
import type { Visitor } from "../consent/sign-in.ts";
import { personWrite } from "../directory/one-person.ts";
import { AppError, isAppError } from "../errors.ts";
import { commit } from "../store/commit.ts";
import type { Head } from "../store/documents.ts";
import type { DirectoryStore } from "../store/ports.ts";
import { partitionBytes, partitionLimits } from "../store/size.ts";
import type { HintDelivery } from "../webhooks/hints.ts";
import { type AdmissionNeeds, admission, type Newcomer, type Verdict } from "./admission.ts";
import type { SsoClient } from "./clients.ts";
import type { SignedInPerson } from "./ports.ts";
import { type UsableConnection, usableConnection } from "./usable.ts";

export interface NewcomerNeeds extends AdmissionNeeds, OpenNeeds {
  ambient: Ambient;
  store: DirectoryStore;
  keys: OpenNeeds["keys"];
  hintChange: HintDelivery;
}

export interface Candidate {
  usable: UsableConnection;
  verdict: Verdict;
}

const maxAttempts = 4;

/** The verdict with nobody left to add: whoever was added, by us or somebody faster, is looked at like everybody else. */
export const withoutNewcomer =
  (needs: NewcomerNeeds) =>
  async (
    client: SsoClient,
    { usable, verdict }: Candidate,
    who: SignedInPerson,
    visitor: Visitor,
  ): Promise<Candidate> => {
    let current = { usable, verdict };
    for (let attempt = 0; current.verdict.newcomer; attempt++) {
      if (attempt === maxAttempts) throw new AppError("changed-meanwhile");
      if (await add(needs, current.usable, current.verdict.newcomer, visitor))
        await needs.hintChange(usable.doc.connectionId);
      const again = await usableConnection(needs)(client, usable.doc.connectionId);
      if (!again) throw new AppError("sign-in-not-offered");
      current = { usable: again, verdict: await admission(needs)(again, who) };
    }
    return current;
  };

/** False: it was planned from what no longer holds. */
const add = async (
  needs: NewcomerNeeds,
  { context }: UsableConnection,
  { head, stored, change }: Newcomer,
  { correlationId }: Visitor,
): Promise<boolean> => {
  if (partitionBytes(head.size, needs.ambient.now(), logSecondsOf(needs.ambient)) > partitionLimits.stopAt)
    throw new AppError("store-full");
  // Who it was is the person himself, and from where stands in the access log: here it would outlive his erasure.
  const person = await personWrite(needs, context, { cause: "sign-in", correlationId }, { change, stored });
  if (!person?.entry) throw new AppError("unexpected", { detail: "Nobody to add." });
  try {
    const { outcome } = await commit(needs, head, {
      writes: [person.write],
      entries: [person.entry],
      advance: (fresh) => {
        if (isOvertaken(head, fresh, change.id)) throw new AppError("changed-meanwhile");
        return { ...fresh, counters: { ...fresh.counters, people: fresh.counters.people + person.adds } };
      },
    });
    return outcome === "committed";
  } catch (error) {
    if (isAppError(error, "changed-meanwhile")) return false;
    throw error;
  }
};

/** Other settings, a pause, a deletion, or the erasure or exclusion of anybody came between. */
const isOvertaken = (planned: Head, now: Head, person: string): boolean =>
  now.epoch !== planned.epoch || now.erasing?.entry.object === person;
