/**
 * What a plan would do, item by item: of a dry run that has ended, or of a run that the guard has stopped. A dry run keeps ids and
 * keyed hashes only, so everything else is looked up for the reader: what is stored where it is stored, and people who would be
 * new in Microsoft 365, now. Nothing of that is kept.
 */
import { z } from "zod";
import { iso } from "../ambient.ts";
import { readHead } from "../connections/change.ts";
import type { OpenedConnection } from "../connections/open.ts";
import type { Caller } from "../context.ts";
import { type Pass, passes } from "../directory/run/cursor.ts";
import { type OpenPlan, openKeptPlan, openWaitingPlan } from "../directory/run/kept-plan.ts";
import { AppError, isAppError } from "../errors.ts";
import type { Head, RunDoc } from "../store/documents.ts";
import type { WorkStore } from "../store/ports.ts";
import { type CreatedNeeds, CreatedPlace, readCreated } from "./plan-created.ts";
import { operationsIn, PlanItem, type PlanOperation, planKinds, readStaged, StagedPlace } from "./plan-items.ts";
import { openReadable, type PageRequest } from "./readable.ts";
import { readRunDoc } from "./runs.ts";

export const PlanPage = z.strictObject({
  planHash: z.string(),
  settingsVersion: z.int(),
  /** Null: the plan waits for approval. */
  endedAt: z.iso.datetime().nullable(),
  /** Not longer; a plan that waits is gone as soon as somebody has decided on it. */
  readableUntil: z.iso.datetime(),
  items: z.array(PlanItem),
  next: z.string().nullable(),
});
export type PlanPage = z.infer<typeof PlanPage>;

export interface PlanFilter {
  kind?: (typeof planKinds)[number] | undefined;
  op?: PlanOperation | undefined;
}

export interface PlanNeeds extends CreatedNeeds {
  work: WorkStore;
}

const Place = z.union([StagedPlace, CreatedPlace]);
type Place = z.infer<typeof Place>;

const beginning: Place = { pass: 0, chunk: 0, at: 0 };

export const readPlan =
  (needs: PlanNeeds) =>
  async (
    caller: Caller,
    connectionId: string,
    runId: string,
    { kind, op, after, limit }: PageRequest & PlanFilter,
  ): Promise<PlanPage> => {
    const opened = await openReadable(needs)(caller.workspaceId, connectionId);
    const [head, run] = await Promise.all([
      readHead(needs.store, connectionId),
      readRunDoc(needs.store, connectionId, runId),
    ]);
    const readsAll = caller.permissions.has("directory:read-all");
    if (kind === "people" && op === "create" && !readsAll)
      throw new AppError("permission-missing", { detail: "Of people who are not stored it takes directory:read-all." });
    const place = after === undefined ? beginning : placeOf(after);
    try {
      const { plan, isKept, ...about } = await openPlan(needs, opened, run, head);
      // What waits holds the records of those whom it creates.
      const live = isKept && readsAll && op === "create" && (kind === undefined || kind === "people");
      const wanted = passes.filter((pass) => isWanted(pass, { kind, op }) && !(live && pass === "people+"));
      const staged =
        "pass" in place
          ? await readStaged(needs.store, opened.context, plan, { place, limit, wanted, op, readsAll })
          : { items: [], next: null };
      const items = staged.items;
      let next: Place | null = staged.next;
      if (live && next === null && items.length < limit) {
        const from = "link" in place ? place : { link: null, at: 0 };
        const created = await readCreated(needs, opened, plan, { place: from, limit: limit - items.length });
        items.push(...created.items);
        next = created.next;
      } else if (live && next === null) next = { link: null, at: 0 };
      return { ...about, items, next: next && JSON.stringify(next) };
    } catch (error) {
      // Parts that had expired, or went while they were read.
      if (isAppError(error, "plan-lost")) throw new AppError("plan-gone", { cause: error });
      throw error;
    }
  };

const placeOf = (text: string): Place => {
  const place = Place.safeParse(JSON.parse(text));
  if (!place.success) throw new AppError("invalid-cursor");
  return place.data;
};

const kindOf: Record<Pass, (typeof planKinds)[number]> = {
  "groups+": "groups",
  "people+": "people",
  "members+": "members",
  "members-": "members",
  "people-": "people",
  "groups-": "groups",
};

const isWanted = (pass: Pass, { kind, op }: PlanFilter): boolean =>
  (kind === undefined || kindOf[pass] === kind) && (op === undefined || operationsIn[pass].includes(op));

interface Opened extends Omit<PlanPage, "items" | "next"> {
  plan: OpenPlan;
  isKept: boolean;
}

const openPlan = async (
  needs: PlanNeeds,
  { doc, context }: OpenedConnection,
  run: RunDoc,
  head: Head,
): Promise<Opened> => {
  const now = needs.ambient.now();
  const runId = run.id.slice(2);
  const { plan, planHash, settingsVersion, endedAt } = run;
  if (plan && planHash !== null && Date.parse(plan.until) > now)
    return {
      plan: await openKeptPlan(needs, context, runId, plan),
      isKept: true,
      planHash,
      settingsVersion,
      endedAt,
      readableUntil: plan.until,
    };
  const state = run.phase !== "ended" && head.run?.id === runId ? head.run : null;
  const stopped = state?.phase === "waiting" && state.epoch === head.epoch ? state.stopped : null;
  if (state && stopped && state.planHash !== null && stopped.expiresAt > now)
    return {
      plan: await openWaitingPlan(needs, context, doc, state),
      isKept: false,
      planHash: state.planHash,
      settingsVersion,
      endedAt: null,
      readableUntil: iso(stopped.expiresAt),
    };
  const isComing = run.phase !== "ended" && (state === null || state.phase === "reading" || state.phase === "weighing");
  throw new AppError(isComing ? "plan-not-ready" : "plan-gone");
};
