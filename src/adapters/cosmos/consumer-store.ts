/** Who follows a connection's change feed: container `state`, one logical partition per connection. */
import type { Container } from "@azure/cosmos";
import { usualLogSeconds } from "../../core/audit/retention.ts";
import type { ConsumerRow, ConsumerStore } from "../../core/store/ports.ts";
import { readDocument, repeating, rows, writing } from "./requests.ts";

const keyOf = (connectionId: string): string => `feed:${connectionId}`;
const prefix = "consumer:";
const beyondPrefix = "consumer;";
const idOf = (name: string): string => `${prefix}${name}`;

export const consumerStore = (container: Container): ConsumerStore => ({
  list: (connectionId) =>
    rows<ConsumerRow>(
      container,
      keyOf(connectionId),
      "SELECT c.name, c.sequence, c.seenAt FROM c WHERE c.id > @from AND c.id < @to ORDER BY c.id ASC",
      { from: prefix, to: beyondPrefix },
    ),

  read: (connectionId, name) => readDocument<ConsumerRow>(container, keyOf(connectionId), idOf(name)),

  put: (connectionId, { name, sequence, seenAt }, etag) =>
    repeating(async () => {
      const doc = { id: idOf(name), key: keyOf(connectionId), name, sequence, seenAt, ttl: usualLogSeconds };
      const { statusCode } =
        etag === null
          ? await writing(() => container.items.create(doc), 409)
          : await writing(
              () =>
                container.item(doc.id, doc.key).replace(doc, { accessCondition: { type: "IfMatch", condition: etag } }),
              404,
              412,
            );
      return statusCode < 300;
    }),

  remove: (connectionId, name) =>
    repeating(async () => {
      await writing(() => container.item(idOf(name), keyOf(connectionId)).delete(), 404);
    }),
});
