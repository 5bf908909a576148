/** Who is told of what: changes of a directory, and what Microsoft wants from the owner of a subscription. */
import { randomBytes, randomUUID } from "node:crypto";
import type { Mutation } from "../directory/state.ts";
import type { Subscription, Tenant, World } from "../world.ts";
import { chance } from "./chance.ts";
import { changeItem, type LifecycleEvent, lifecycleItem, type Notice, noticeOf } from "./notices.ts";
import { type Outbox, type OutboxCounts, timerFor } from "./outbox.ts";
import { rights, withContained } from "./permissions.ts";
import { liveIn } from "./subscriptions.ts";
import type { Traits } from "./switches.ts";

export interface NotifierNeeds {
  world: World;
  traits: (tid: string) => Traits;
  outbox: Outbox;
  seed: number;
}

export interface Notifier {
  /** To be told of each alteration when it has happened. */
  changed(tenant: Tenant, mutation: Mutation): void;
  /** As if so many objects had changed, to every subscription of the tenant. */
  storm(tenant: Tenant, count: number): void;
  /** As somebody would send it who knows everything but the client state. */
  forge(tenant: Tenant, count: number): void;
  /** What is no collection of notifications. */
  garbage(tenant: Tenant): void;
  lifecycle(tenant: Tenant, event: LifecycleEvent): void;
  /** Does what the clock of the world demands by now. */
  catchUp(): void;
  settled(): Promise<void>;
  counts(): OutboxCounts & { lost: number };
  close(): void;
}

/** What happens in one go is told in one post. */
const gatherMilliseconds = 50;
/** Until a challenge that nobody has answered is repeated. */
const challengeEvery = 15 * 60_000;

export const createNotifier = ({ world, traits, outbox, seed }: NotifierNeeds): Notifier => {
  /** Of items made so far; what is left to chance depends on it. */
  let order = 0;
  let lost = 0;
  let timer: NodeJS.Timeout | undefined;

  const put = (url: string, text: string, { tid }: Tenant): void => {
    const { shuffledNotifications, notificationDelaySeconds } = traits(tid);
    const dueAt = world.now() + gatherMilliseconds + notificationDelaySeconds * 1000;
    const place = shuffledNotifications ? chance(seed, "place", tid, order) : order;
    outbox.add({ url, text, dueAt, order: place });
    order++;
  };

  const tell = (tenant: Tenant, subscription: Subscription, notice: Notice): void => {
    if (!delivers(tenant, subscription)) return;
    const { lostNotifications, repeatedNotifications } = traits(tenant.tid);
    if (chance(seed, "lost", tenant.tid, order) < lostNotifications) {
      lost++;
      order++;
      return;
    }
    const item = changeItem(subscription, tenant.tid, notice, { now: world.now(), order });
    const copies = chance(seed, "repeated", tenant.tid, order) < repeatedNotifications ? 2 : 1;
    for (let copy = 0; copy < copies; copy++) put(subscription.notificationUrl, item, tenant);
  };

  const delivers = (tenant: Tenant, subscription: Subscription): boolean => {
    const { clientId, feed, inconsistent, challenges } = subscription;
    if (tenant.gone || tenant.disabledApps.has(clientId) || inconsistent || challenges > 1) return false;
    const granted = withContained([...(tenant.grants.get(clientId) ?? [])]);
    if (granted.has(feed === "users" ? rights.users : traits(tenant.tid).groupSubscriptionRight)) return true;
    if (challenges === 0) {
      subscription.challengeAt = world.now();
      soon(0);
    }
    return false;
  };

  const tellLifecycle = (tenant: Tenant, subscription: Subscription, event: LifecycleEvent): void => {
    const { lifecycleNotificationUrl: url } = subscription;
    if (url !== null) put(url, lifecycleItem(subscription, tenant.tid, event), tenant);
  };

  const challenge = (tenant: Tenant, subscription: Subscription): void => {
    subscription.challenges++;
    subscription.challengeAt = world.now() + challengeEvery;
    tellLifecycle(tenant, subscription, "reauthorizationRequired");
  };

  const all = function* (): Generator<[Tenant, Subscription]> {
    for (const tenant of world.tenants.values())
      for (const subscription of liveIn(tenant, world.now())) yield [tenant, subscription];
  };

  const catchUp = (): void => {
    for (const [tenant, subscription] of all())
      if (subscription.challengeAt <= world.now()) challenge(tenant, subscription);
    outbox.catchUp();
    soon(Math.min(...[...all()].map(([, { challengeAt }]) => challengeAt)) - world.now());
  };

  const soon = (milliseconds: number): void => {
    clearTimeout(timer);
    timer = timerFor(milliseconds, catchUp);
  };

  const toAll = (
    tenant: Tenant,
    count: number,
    carryOut: (subscription: Subscription, notice: Notice) => void,
  ): void => {
    for (const subscription of liveIn(tenant, world.now()))
      for (let made = 0; made < count; made++)
        carryOut(subscription, { feed: subscription.feed, changeType: "updated", id: randomUUID() });
  };

  return {
    changed: (tenant, mutation) => {
      const notice = noticeOf(mutation, tenant.directory, traits(tenant.tid).managerNotifications);
      if (notice === null) return;
      for (const subscription of liveIn(tenant, world.now()))
        if (subscription.feed === notice.feed && subscription.changeTypes.includes(notice.changeType))
          tell(tenant, subscription, notice);
    },
    storm: (tenant, count) => toAll(tenant, count, (subscription, notice) => tell(tenant, subscription, notice)),
    forge: (tenant, count) =>
      toAll(tenant, count, (subscription, notice) => {
        const clientState = randomBytes(71).toString("base64url");
        const item = changeItem({ ...subscription, clientState }, tenant.tid, notice, { now: world.now(), order });
        put(subscription.notificationUrl, item, tenant);
      }),
    garbage: (tenant) => {
      for (const { notificationUrl } of liveIn(tenant, world.now()))
        for (const body of rubbish) outbox.send(notificationUrl, body);
    },
    lifecycle: (tenant, event) => {
      for (const subscription of liveIn(tenant, world.now())) {
        if (event === "reauthorizationRequired") challenge(tenant, subscription);
        else tellLifecycle(tenant, subscription, event);
        if (event === "subscriptionRemoved") tenant.subscriptions.delete(subscription.id);
      }
      catchUp();
    },
    catchUp,
    settled: () => outbox.settled(),
    counts: () => ({ ...outbox.counts(), lost }),
    close: () => {
      clearTimeout(timer);
      outbox.close();
    },
  };
};

const rubbish = [
  "",
  "null",
  "[]",
  "{",
  '{"value":null}',
  '{"value":[null,1,"a",[],{}]}',
  '{"value":[{"clientState":{},"tenantId":1}]}',
  `{"value":${"[".repeat(2000)}${"]".repeat(2000)}}`,
];
