/**
 * Where an administrator is in the setup. It begins with a draft and is finished when the settings have no gap and somebody says
 * so; only then the schedule begins. Beginning it anew changes no setting and stops no sync: a pause does that.
 */
import { z } from "zod";
import { iso } from "../ambient.ts";
import { type ChangeNeeds, changeConnection, entryOf, readHead, requireOpen } from "../connections/change.ts";
import { settingsEtag } from "../connections/change-settings.ts";
import { directoryTenant, openConnection, tenantInUse } from "../connections/open.ts";
import type { Caller } from "../context.ts";
import type { Keys } from "../crypto/keys.ts";
import { isInTrouble } from "../directory/run/trouble.ts";
import { firstDue, wakeAfter } from "../directory/schedule.ts";
import { AppError } from "../errors.ts";
import type { ConnectionDoc, Head, RunDoc, Stored } from "../store/documents.ts";
import type { DirectoryStore } from "../store/ports.ts";
import { isFinished, Step, stepIds, stepsOf } from "./steps.ts";
import type { StepId } from "./texts.ts";

export const SetupView = z.strictObject({
  steps: z.array(Step),
  /** A dry run that has ended under these very settings; null: there is none among the newest runs. */
  tested: z.strictObject({ run: z.string(), endedAt: z.iso.datetime() }).nullable(),
  finished: z.boolean(),
  /** When it was finished last, also if it has begun anew since; null: never, and the schedule starts nothing. */
  finishedAt: z.iso.datetime().nullable(),
  nextSyncAt: z.iso.datetime().nullable(),
  /** Of the settings: what `PUT .../settings` wants to see. */
  etag: z.string(),
});
export type SetupView = z.infer<typeof SetupView>;

export const MarkStep = z.strictObject({ done: z.boolean() });
export type MarkStep = z.infer<typeof MarkStep>;

export const FinishSetup = z.strictObject({ withoutTest: z.boolean().default(false) });
export type FinishSetup = z.infer<typeof FinishSetup>;

export interface SetupNeeds extends ChangeNeeds {
  keys: Pick<Keys, "ring">;
  store: Pick<DirectoryStore, "read" | "write" | "list">;
}

export const readSetup =
  (needs: SetupNeeds) =>
  async (caller: Caller, connectionId: string): Promise<SetupView> => {
    const { doc } = await openSetup(needs, caller, connectionId);
    return setupView(needs, doc, await readHead(needs.store, connectionId));
  };

/** Progress decides nothing, so it is no entry of the change log. */
export const markStep =
  (needs: SetupNeeds) =>
  async (caller: Caller, connectionId: string, step: string, { done }: MarkStep): Promise<SetupView> => {
    const { doc: opened } = await openSetup(needs, caller, connectionId);
    const id = markable(step);
    const { doc, head } = await changeConnection(needs)(opened, (current) => {
      requireOpen(current);
      if (current.wizard.done.includes(id) === done) return null;
      return {
        doc: withDone(current, (other) => (other === id ? done : current.wizard.done.includes(other))),
        entries: [],
      };
    });
    return setupView(needs, doc, head);
  };

export const finishSetup =
  (needs: SetupNeeds) =>
  async (caller: Caller, connectionId: string, { withoutTest }: FinishSetup): Promise<SetupView> => {
    const { ambient } = needs;
    const { doc: opened, context } = await openSetup(needs, caller, connectionId);
    const { doc, head } = await changeConnection(needs)(opened, async (current) => {
      requireOpen(current);
      if (isFinished(current)) return null;
      const tested = await testOf(needs, current);
      requireComplete(current, tested, withoutTest);
      const now = ambient.now();
      const entry = entryOf(ambient, context, caller, {
        kind: "connection",
        op: "updated",
        object: "connection",
        changes: [
          { field: "setup", before: "unfinished", after: "finished" },
          { field: "setup.test", before: null, after: tested?.run ?? "without" },
        ],
      });
      const finished = withDone(current, () => true);
      return {
        doc: { ...finished, wizard: { ...finished.wizard, finishedAt: iso(now) } },
        entries: [entry],
        ...(current.wizard.finishedAt === null ? { advance: (before: Head) => scheduled(before, current, now) } : {}),
      };
    });
    return setupView(needs, doc, head);
  };

export const resetSetup =
  (needs: SetupNeeds) =>
  async (caller: Caller, connectionId: string): Promise<SetupView> => {
    const { doc: opened, context } = await openSetup(needs, caller, connectionId);
    const { doc, head } = await changeConnection(needs)(opened, (current) => {
      requireOpen(current);
      if (current.wizard.done.length === 0) return null;
      const changes = [{ field: "setup", before: "finished", after: "unfinished" }];
      return {
        doc: withDone(current, () => false),
        entries: isFinished(current)
          ? [
              entryOf(needs.ambient, context, caller, {
                kind: "connection",
                op: "updated",
                object: "connection",
                changes,
              }),
            ]
          : [],
      };
    });
    return setupView(needs, doc, head);
  };

const openSetup = async (needs: SetupNeeds, caller: Caller, connectionId: string) => {
  const opened = await openConnection(needs)(caller.workspaceId, connectionId);
  requireOpen(opened.doc);
  return opened;
};

const markable = (step: string): StepId => {
  const known = stepIds.find((id) => id === step);
  if (known === undefined || known === "finish")
    throw new AppError("invalid-request", {
      field: "step",
      detail: "There is no step of this name that can be marked.",
    });
  return known;
};

const withDone = (doc: Stored<ConnectionDoc>, isDone: (step: StepId) => boolean): Stored<ConnectionDoc> => ({
  ...doc,
  wizard: { ...doc.wizard, done: stepIds.filter(isDone) },
});

const requireComplete = (doc: ConnectionDoc, tested: Test | null, withoutTest: boolean): void => {
  for (const { id, problem } of stepsOf(doc.settings, stateOf(doc, tested)))
    if (problem !== null && !(id === "test" && withoutTest))
      throw new AppError("setup-incomplete", { field: `steps.${id}`, detail: problem });
};

/** A run by hand that ends later would say when the next one is due as if there were no schedule yet. */
const scheduled = (head: Head, { settings }: ConnectionDoc, now: number): Head => {
  if (head.run || head.requested) throw new AppError("run-in-progress");
  const dueAt = firstDue(head.connectionId, settings, now);
  return { ...head, dueAt, wakeAt: wakeAfter({ ...head, dueAt }, now) };
};

type Test = NonNullable<SetupView["tested"]>;

/** Who sets up has few runs behind him; whoever sets up anew makes another test. */
const runsLookedAt = 100;

const testOf = async ({ store }: SetupNeeds, doc: ConnectionDoc): Promise<Test | null> => {
  const runs = await store.list(doc.connectionId, "run", { limit: runsLookedAt });
  const test = runs.find((run) => isTestOf(run, doc));
  return test?.endedAt ? { run: test.id.slice(2), endedAt: test.endedAt } : null;
};

/** What would be under other settings is no test of these. */
const isTestOf = ({ phase, outcome, settingsVersion, impact }: RunDoc, doc: ConnectionDoc): boolean =>
  phase === "ended" && outcome === "dry-run" && impact !== true && settingsVersion === doc.settingsVersion;

const stateOf = (doc: ConnectionDoc, tested: Test | null) => ({
  done: doc.wizard.done,
  unreadable: unreadable(doc),
  tested: tested !== null,
});

const unreadable = (doc: ConnectionDoc): string | null => {
  if (directoryTenant(doc) === null) return "Reading the directory has not been approved yet.";
  return !isInTrouble(doc) ? null : "Microsoft 365 cannot be read at the moment; the connection says why.";
};

const setupView = async (needs: SetupNeeds, doc: Stored<ConnectionDoc>, { dueAt }: Head): Promise<SetupView> => {
  const tested = await testOf(needs, doc);
  return {
    steps: stepsOf(doc.settings, stateOf(doc, tested)),
    tested,
    finished: isFinished(doc),
    finishedAt: doc.wizard.finishedAt,
    nextSyncAt: tenantInUse(doc) !== null && dueAt !== null ? iso(dueAt) : null,
    etag: settingsEtag(doc),
  };
};
