/** The access log: container `access`, one logical partition per workspace and month. */
import type { Container } from "@azure/cosmos";
import type { Sealed } from "../../core/crypto/seal.ts";
import type { AccessStore } from "../../core/store/ports.ts";
import { createOnce, rows } from "./requests.ts";

interface Entry {
  id: string;
  at: string;
  content: Sealed<unknown>;
}

export const accessStore = (container: Container): AccessStore => ({
  append: (doc) => createOnce(container, doc),

  listBackwards: (pk, { from, before, limit }) => {
    if (!Number.isSafeInteger(limit) || limit < 1) throw new RangeError("a limit is at least 1");
    const query = `SELECT TOP ${limit} c.id, c.at, c.content FROM c WHERE c.id >= @from AND c.id < @before ORDER BY c.id DESC`;
    return rows<Entry>(container, pk, query, { from, before });
  },

  /** Oldest first: ids are ULIDs. */
  list: (pk, { after, limit }) => {
    if (!Number.isSafeInteger(limit) || limit < 1) throw new RangeError("a limit is at least 1");
    const query = `SELECT TOP ${limit} c.id, c.at, c.content FROM c WHERE c.id > @after ORDER BY c.id ASC`;
    return rows<Entry>(container, pk, query, { after: after ?? "" });
  },
});
