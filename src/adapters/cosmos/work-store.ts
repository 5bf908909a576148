/** Staged parts of a run: container `work`, one logical partition per run, TTL 72 h for what nobody dropped. */
import type { Container } from "@azure/cosmos";
import { AppError } from "../../core/errors.ts";
import { UnknownOutcome, type WorkStore } from "../../core/store/ports.ts";
import { maxOperations, readDocument, repeating, rows, toBody, transaction, writing } from "./requests.ts";

/** Somebody else dropping the same run makes a round of deletes fail; each such round leaves less to delete. */
const fruitlessRounds = 5;

export const workStore = (container: Container): WorkStore => ({
  put: (runId, { id, kind, content }) =>
    repeating(async () => {
      await writing(() => container.items.upsert(toBody({ id, runId, kind, content })));
    }),

  get: async (runId, id) => {
    const part = await readDocument<{ content: string }>(container, runId, id);
    return part?.content ?? null;
  },

  drop: async (runId) => {
    let lastFault: unknown;
    for (let fruitless = 0; fruitless < fruitlessRounds; ) {
      const parts = await rows<{ id: string }>(container, runId, `SELECT TOP ${maxOperations} c.id FROM c`);
      if (parts.length === 0) return;
      try {
        const deletes = parts.map(({ id }) => ({ operationType: "Delete" as const, id }));
        const answer = await transaction(container, runId, deletes);
        if (!answer.ok) fruitless += 1;
      } catch (error) {
        if (!(error instanceof UnknownOutcome)) throw error;
        lastFault = error;
        fruitless += 1;
      }
    }
    throw lastFault instanceof UnknownOutcome ? lastFault : new AppError("store-unavailable");
  },
});
