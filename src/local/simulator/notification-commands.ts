/** What may be asked of the simulated change notifications. */
import { z } from "zod";
import { command } from "./command.ts";
import { lifecycleEvents } from "./graph/notices.ts";
import type { Notifier } from "./graph/notifier.ts";
import type { Tenant } from "./world.ts";

const tid = z.string().min(1);

export const notificationCommands = ({
  tenantOf,
  notifier,
}: {
  tenantOf: (tid: string) => Tenant;
  notifier: Notifier;
}) => ({
  /** Everything about them, the client state too. */
  subscriptions: command(z.object({ tid }), (asked) => ({
    subscriptions: [...tenantOf(asked.tid).subscriptions.values()],
  })),
  /** Deletes them without a word. */
  "forget-subscriptions": command(z.object({ tid }), (asked) => {
    tenantOf(asked.tid).subscriptions.clear();
    return {};
  }),
  /** To every subscription of the tenant; `storm`: as if `count` objects had changed. */
  notify: command(
    z.object({
      tid,
      kind: z.enum(["storm", "forged", "garbage"]),
      count: z.number().int().min(1).max(10_000).default(1),
    }),
    ({ kind, count, ...asked }) => {
      const tenant = tenantOf(asked.tid);
      if (kind === "storm") notifier.storm(tenant, count);
      else if (kind === "forged") notifier.forge(tenant, count);
      else notifier.garbage(tenant);
      return notifier.counts();
    },
  ),
  /** `subscriptionRemoved` removes them as well. */
  lifecycle: command(z.object({ tid, event: z.enum(lifecycleEvents) }), ({ event, ...asked }) => {
    notifier.lifecycle(tenantOf(asked.tid), event);
    return {};
  }),
  notifications: command(z.object({}), () => notifier.counts()),
});
