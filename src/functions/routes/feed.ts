/** What the product is told. */
import { z } from "zod";
import { AcknowledgeChanges, ConsumerView } from "../../core/feed/consumers.ts";
import { ChangesPage } from "../../core/views/changes.ts";
import { SnapshotPage } from "../../core/views/snapshot.ts";
import { ReplayWebhook, WebhookTest, WebhookView } from "../../core/webhooks/views.ts";
import type { Route } from "../route.ts";

import { limit, one, Paged, whole } from "./parts.ts";

export const feedRoutes = {
  "changes.read": {
    method: "GET",
    path: `${one}/changes`,
    summary: "Changes after a sequence; waits up to `wait` seconds for the first.",
    permission: "directory:read",
    cost: "wait",
    personal: true,
    query: z.strictObject({
      after: whole(0, Number.MAX_SAFE_INTEGER).default(0),
      limit,
      wait: whole(0, 20).default(0),
    }),
    status: 200,
    answer: ChangesPage,
  },
  "changes.acknowledge": {
    method: "POST",
    path: `${one}/changes/ack`,
    summary: "A named consumer has applied every change up to this sequence.",
    permission: "directory:read",
    personal: false,
    body: AcknowledgeChanges,
    status: 200,
    answer: ConsumerView,
  },
  "changes.consumers": {
    method: "GET",
    path: `${one}/changes/consumers`,
    summary: "Who follows the changes, how far, and who has stopped.",
    permission: "integration:read",
    personal: false,
    status: 200,
    answer: z.strictObject({ items: z.array(ConsumerView) }),
  },
  "changes.forget": {
    method: "DELETE",
    path: `${one}/changes/consumers/{consumer}`,
    summary: "Removes a consumer that is no longer needed.",
    permission: "integration:setup",
    personal: false,
    status: 200,
    answer: ConsumerView,
  },
  "webhooks.list": {
    method: "GET",
    path: `${one}/webhooks`,
    summary: "How far the endpoints of your back end are that are told of changes, and their last deliveries.",
    permission: "integration:read",
    personal: false,
    status: 200,
    answer: z.strictObject({ items: z.array(WebhookView) }),
  },
  "webhooks.test": {
    method: "POST",
    path: `${one}/webhooks/{endpoint}/test`,
    summary: "Sends an endpoint an event of the type `webhook.test` now, and says what it answered.",
    permission: "integration:setup",
    cost: "live",
    personal: false,
    status: 200,
    answer: WebhookTest,
  },
  "webhooks.replay": {
    method: "POST",
    path: `${one}/webhooks/{endpoint}/replay`,
    summary: "Tells an endpoint again when there are changes after a sequence; also one that was given up.",
    permission: "integration:setup",
    personal: false,
    body: ReplayWebhook,
    status: 202,
    answer: WebhookView,
  },
  "snapshot.read": {
    method: "GET",
    path: `${one}/snapshot`,
    summary: "Everything that is held: people, then groups, then memberships.",
    permission: "directory:read",
    personal: true,
    query: Paged,
    paged: true,
    status: 200,
    answer: SnapshotPage,
  },
} as const satisfies Record<string, Route>;
