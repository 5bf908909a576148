/** What sets deliveries off: a hint after a change, and a timer for all hints that were lost or lie in the future. */
import type { Ambient } from "../ambient.ts";
import type { Caller } from "../context.ts";
import type { DirectoryStore, HintQueue } from "../store/ports.ts";
import type { WebhookEndpoint } from "./endpoints.ts";

export interface DeliveryHintNeeds {
  ambient: Pick<Ambient, "now">;
  endpoints: readonly WebhookEndpoint[];
  deliveries: HintQueue;
}

const hintsPerTick = 5000;

/** The timer's work. Without endpoints nobody waits for anything. */
export const wakeDeliveries =
  ({ ambient, endpoints, deliveries, store }: DeliveryHintNeeds & { store: Pick<DirectoryStore, "dueToTell"> }) =>
  async (): Promise<number> => {
    if (endpoints.length === 0) return 0;
    const now = ambient.now();
    const due = await store.dueToTell(now, hintsPerTick);
    for (const connectionId of due) await deliveries.send({ connectionId, receivedAt: now });
    return due.length;
  };

export type HintDelivery = (connectionId: string) => Promise<void>;

/** The change is committed, and so is that it has to be told: a hint that cannot be sent is no failure of the change. */
export const hintDelivery =
  ({ ambient, endpoints, deliveries }: DeliveryHintNeeds): HintDelivery =>
  async (connectionId) => {
    if (endpoints.length > 0) await deliveries.send({ connectionId, receivedAt: ambient.now() }).catch(() => undefined);
  };

/** A use-case that changes a connection, and a hint after it. */
export const telling =
  (hint: HintDelivery) =>
  <Rest extends unknown[], Result>(change: (caller: Caller, connectionId: string, ...rest: Rest) => Promise<Result>) =>
  async (caller: Caller, connectionId: string, ...rest: Rest): Promise<Result> => {
    const result = await change(caller, connectionId, ...rest);
    await hint(connectionId);
    return result;
  };
