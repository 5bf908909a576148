/** How far the vendor's endpoints are with a connection: container `state`, one logical partition per connection. */
import type { Container } from "@azure/cosmos";
import { usualLogSeconds } from "../../core/audit/retention.ts";
import type { Stored } from "../../core/store/documents.ts";
import type { DeliveryRow, WebhookStore } from "../../core/webhooks/ports.ts";
import { readDocument, repeating, rows, stored, toBody, writing } from "./requests.ts";

const keyOf = (connectionId: string): string => `webhooks:${connectionId}`;
const prefix = "endpoint:";
const beyondPrefix = "endpoint;";
const idOf = (endpoint: string): string => `${prefix}${endpoint}`;

export const webhookStore = (container: Container): WebhookStore => ({
  list: async (connectionId) => {
    const query = "SELECT * FROM c WHERE c.id > @from AND c.id < @to ORDER BY c.id ASC";
    const found = await rows<object>(container, keyOf(connectionId), query, { from: prefix, to: beyondPrefix });
    return found.map((resource) => stored<DeliveryRow>(resource));
  },

  read: (connectionId, endpoint) => readDocument<DeliveryRow>(container, keyOf(connectionId), idOf(endpoint)),

  put: (connectionId, row, etag) =>
    repeating(async () => {
      const id = idOf(row.endpoint);
      const key = keyOf(connectionId);
      const body = toBody({ ...row, id, key, ttl: usualLogSeconds });
      const { resource } =
        etag === null
          ? await writing(() => container.items.create<object>(body), 409)
          : await writing(
              () =>
                container
                  .item(id, key)
                  .replace<object>(body, { accessCondition: { type: "IfMatch", condition: etag } }),
              404,
              412,
            );
      return resource ? (stored<DeliveryRow>(resource) satisfies Stored<DeliveryRow>) : null;
    }),

  remove: (connectionId, endpoint) =>
    repeating(async () => {
      await writing(() => container.item(idOf(endpoint), keyOf(connectionId)).delete(), 404);
    }),
});
