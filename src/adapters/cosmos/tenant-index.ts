/** Which connections of a tenant offer sign-in: container `shared`, one document for each tenant, read by id. */
import type { Container } from "@azure/cosmos";
import { AppError } from "../../core/errors.ts";
import type { Stored } from "../../core/store/documents.ts";
import type { TenantIndex } from "../../core/store/ports.ts";
import { readDocument, repeating, writing } from "./requests.ts";

interface Row {
  id: string;
  key: string;
  connections: string[];
}

const rowId = "sign-in";
const keyOf = (tid: string): string => `tenant:${tid}`;

/** Between reading and writing somebody else may have been there. */
const rounds = 5;

export const tenantIndex = (container: Container): TenantIndex => {
  const read = (tid: string): Promise<Stored<Row> | null> => readDocument<Row>(container, keyOf(tid), rowId);

  const put = async (tid: string, connections: string[], before: Stored<Row> | null): Promise<boolean> => {
    const row: Row = { id: rowId, key: keyOf(tid), connections };
    const { statusCode } = before
      ? await writing(
          () =>
            container.item(rowId, row.key).replace<Row>(row, {
              accessCondition: { type: "IfMatch", condition: before._etag },
            }),
          404,
          412,
        )
      : await writing(() => container.items.create(row), 409);
    return statusCode < 300;
  };

  const change = (tid: string, changed: (connections: readonly string[]) => string[]): Promise<void> =>
    repeating(async () => {
      for (let round = 1; round <= rounds; round += 1) {
        const before = await read(tid);
        const known = before?.connections ?? [];
        const next = changed(known);
        if (next.length === known.length || (await put(tid, next, before))) return;
      }
      throw new AppError("store-unavailable");
    });

  return {
    connectionsOf: async (tid) => (await read(tid))?.connections ?? [],
    add: (tid, connectionId) =>
      change(tid, (known) => (known.includes(connectionId) ? [...known] : [...known, connectionId])),
    remove: (tid, connectionId) => change(tid, (known) => known.filter((id) => id !== connectionId)),
  };
};
