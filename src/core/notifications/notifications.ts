/** All that an installation does about change notifications, beside receiving them; and what is left of it where there are none. */
import type { NotificationMessage } from "../jobs.ts";
import { type Enlist, enlist } from "./enlist.ts";
import { type PassedOn, passOn } from "./pass-on.ts";
import type { TendingQueue } from "./ports.ts";
import { type Tended, type TendNeeds, tend } from "./tend.ts";
import { wakeSubscriptions } from "./wake.ts";

export interface Notifications {
  enlist: Enlist;
  passOn(message: NotificationMessage["notification"]): Promise<PassedOn>;
  tend(feed: string): Promise<Tended>;
  wakeSubscriptions(): Promise<number>;
  /** Whether a subscription is near its end and could not be renewed. */
  isAnyOverdue(): Promise<boolean>;
}

export const notifications = (needs: TendNeeds & { tending: TendingQueue }): Notifications => {
  const tendFeed = tend(needs);
  return {
    enlist: enlist(needs),
    passOn: passOn({ ...needs, tend: tendFeed }),
    tend: tendFeed,
    wakeSubscriptions: wakeSubscriptions(needs),
    isAnyOverdue: () => needs.ledger.anyOverdue(needs.ambient.now()),
  };
};

/** Nothing is subscribed to, changes are found by schedule, and messages that are left from before say nothing to anybody. */
export const withoutNotifications: Pick<Notifications, "passOn" | "tend" | "wakeSubscriptions"> = {
  passOn: () => Promise.resolve({ outcome: "unknown", marked: 0, answered: 0 }),
  tend: () => Promise.resolve("unknown"),
  wakeSubscriptions: () => Promise.resolve(0),
};
