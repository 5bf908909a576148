/**
 * Tries a connection now. Nothing that is read is kept or shown, and the connection's state stays as it is. Before the product
 * has confirmed the connection, people and groups are left alone.
 */
import { z } from "zod";
import { readHead, requireOpen } from "../connections/change.ts";
import { openConnection } from "../connections/open.ts";
import { type ConnectionView, connectionView } from "../connections/views.ts";
import type { Caller } from "../context.ts";
import { checks, type SelfTestNeeds, tryOut } from "../directory/self-test.ts";
import { AppError } from "../errors.ts";
import type { ViewNeeds } from "./readable.ts";

export const Finding = z.strictObject({
  check: z.enum(checks),
  outcome: z.enum(["passed", "failed", "skipped"]),
  /** Problem code of what failed. */
  code: z.string().nullable(),
  advice: z.string().nullable(),
  /** Permissions that are missing. */
  missing: z.array(z.string()),
});
export type Finding = z.infer<typeof Finding>;

export type TestNeeds = ViewNeeds & SelfTestNeeds;

export const testConnection =
  (needs: TestNeeds) =>
  async (caller: Caller, connectionId: string): Promise<{ connection: ConnectionView; findings: Finding[] }> => {
    const { doc, context } = await openConnection(needs)(caller.workspaceId, connectionId);
    requireOpen(doc);
    const { tid } = doc;
    if (tid === null) throw new AppError("state-conflict", { detail: "No organisation has approved yet." });
    const tried = await tryOut(needs)({ ...context, tid }, { feeds: context.tid !== "" });
    return {
      connection: connectionView(doc, await readHead(needs.store, connectionId), context.ring),
      findings: tried.map(({ check, outcome, problem, missing }) => ({
        check,
        outcome,
        code: problem?.code ?? null,
        advice: problem?.advice ?? null,
        missing,
      })),
    };
  };
