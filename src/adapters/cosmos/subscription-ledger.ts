/** The ledger of subscriptions: container `shared`, one document per feed in a logical partition of its own. */
import type { Container } from "@azure/cosmos";
import type { Ledger, LedgerRow } from "../../core/notifications/ports.ts";
import type { Stored } from "../../core/store/documents.ts";
import { readDocument, repeating, rowsOfAllPartitions, toBody, writing } from "./requests.ts";

const rowId = "subscription";
const keyOf = (feed: string): string => `subscription:${feed}`;

export const subscriptionLedger = (container: Container): Ledger => ({
  read: async (feed) => {
    const found = await readDocument<LedgerRow & { id: string; key: string }>(container, keyOf(feed), rowId);
    if (!found) return null;
    const { id: _, key: __, ...row } = found;
    return row satisfies Stored<LedgerRow>;
  },

  put: (row, etag) =>
    repeating(async () => {
      const key = keyOf(row.feed);
      const body = toBody({ ...row, id: rowId, key });
      const { statusCode } =
        etag === null
          ? await writing(() => container.items.create(body), 409)
          : await writing(
              () => container.item(rowId, key).replace(body, { accessCondition: { type: "IfMatch", condition: etag } }),
              404,
              412,
            );
      return statusCode < 300;
    }),

  remove: (feed, etag) =>
    repeating(async () => {
      const item = container.item(rowId, keyOf(feed));
      const { statusCode } = await writing(
        () => item.delete({ accessCondition: { type: "IfMatch", condition: etag } }),
        404,
        412,
      );
      // Gone is gone, whoever removed it.
      return statusCode !== 412;
    }),

  due: async (now, limit) => {
    const query = "SELECT c.feed, c.wakeAt FROM c WHERE c.wakeAt <= @now";
    const found = await rowsOfAllPartitions<Pick<LedgerRow, "feed" | "wakeAt">>(container, query, { now }, limit);
    return found.toSorted((one, other) => one.wakeAt - other.wakeAt).map(({ feed }) => feed);
  },

  anyOverdue: async (now) => {
    const query = "SELECT c.feed FROM c WHERE c.alarmAt <= @now";
    return (await rowsOfAllPartitions<object>(container, query, { now }, 1)).length > 0;
  },
});
