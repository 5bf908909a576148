/** A small tenant that was synchronised once, and every view on it; time and other people's commits are in the test's hands. */
import { randomUUID } from "node:crypto";
import { consumerStore } from "../../src/adapters/cosmos/consumer-store.ts";
import { subscriptionLedger } from "../../src/adapters/cosmos/subscription-ledger.ts";
import type { ReadNeeds } from "../../src/core/connections/read.ts";
import type { Caller, ConnectionContext, Permission } from "../../src/core/context.ts";
import { personId } from "../../src/core/crypto/key-ring.ts";
import {
  acknowledgeChanges,
  type ConsumerNeeds,
  listConsumers,
  removeConsumer,
} from "../../src/core/feed/consumers.ts";
import { type DirectoryDoc, type Head, ids, type Stored } from "../../src/core/store/documents.ts";
import type { DirectoryStore } from "../../src/core/store/ports.ts";
import { type ChangesNeeds, readChanges } from "../../src/core/views/changes.ts";
import { listGroups, listMembers, readGroup } from "../../src/core/views/groups.ts";
import { linkProductUser } from "../../src/core/views/link-product-user.ts";
import { linkProductUsers } from "../../src/core/views/link-product-users.ts";
import { matchProductUsers } from "../../src/core/views/match-product-users.ts";
import { listPeople, readPerson } from "../../src/core/views/people.ts";
import { cancelRun, listRuns, readRun, requestRun } from "../../src/core/views/runs.ts";
import { readSnapshot } from "../../src/core/views/snapshot.ts";
import { type Stage, startStage } from "../support/sync-stage.ts";

export { codeOf } from "../support/code-of.ts";

export const caller = (...permissions: Permission[]): Caller => ({
  workspaceId: "w1",
  subject: "ada",
  permissions: new Set(permissions),
  ip: "203.0.113.7",
  correlationId: "c-1",
});

/** What is asked for with these needs finds, at its first write, that somebody has just been faster. */
export const overtaken = <N extends { store: Pick<DirectoryStore, "write"> }>(
  needs: N,
  faster: () => Promise<unknown>,
): N => {
  let isOvertaken = false;
  const write: DirectoryStore["write"] = async (...batch) => {
    if (!isOvertaken) {
      isOvertaken = true;
      await faster();
    }
    return needs.store.write(...batch);
  };
  return { ...needs, store: { ...needs.store, write } };
};

export interface Scene {
  stage: Stage;
  tid: string;
  connectionId: string;
  context: ConnectionContext;
  /** Object ids of the people and of the two groups; the second is nested in the first. */
  people: { chief: string; clerk: string };
  groups: { outer: string; inner: string };
  id(oid: string): string;
  mutate(...mutations: Parameters<Stage["simulator"]["commands"]["mutate"]["run"]>[0]["mutations"]): void;
  head(): Promise<Stored<Head>>;
  /** Writes documents past everything else, as a fault or an older version would have left them. */
  put(...docs: DirectoryDoc[]): Promise<void>;
  needs: ChangesNeeds & ConsumerNeeds & ReadNeeds & { hints: Stage["needs"]["hints"] };
  views: ReturnType<typeof viewsOf>;
}

const viewsOf = (needs: Scene["needs"]) => ({
  listPeople: listPeople(needs),
  readPerson: readPerson(needs),
  linkProductUser: linkProductUser(needs),
  linkProductUsers: linkProductUsers(needs),
  matchProductUsers: matchProductUsers(needs),
  listGroups: listGroups(needs),
  readGroup: readGroup(needs),
  listMembers: listMembers(needs),
  requestRun: requestRun(needs),
  listRuns: listRuns(needs),
  readRun: readRun(needs),
  cancelRun: cancelRun(needs),
  readChanges: readChanges(needs),
  acknowledgeChanges: acknowledgeChanges(needs),
  listConsumers: listConsumers(needs),
  removeConsumer: removeConsumer(needs),
  readSnapshot: readSnapshot(needs),
});

export const openScene = async (): Promise<Scene> => {
  const stage = await startStage();
  const tid = stage.tenant({ users: 5, groups: 0, seed: 1 });
  const people = { chief: randomUUID(), clerk: randomUUID() };
  const groups = { outer: randomUUID(), inner: randomUUID() };
  const mutate: Scene["mutate"] = (...mutations) => void stage.simulator.commands.mutate.run({ tid, mutations });
  const user = (id: string, name: string, managerId: string | null) => ({
    op: "create-user" as const,
    user: {
      id,
      managerId,
      properties: {
        displayName: name,
        userPrincipalName: `${name}@t1.example`,
        accountEnabled: true,
        userType: "Member",
      },
    },
  });
  const group = (id: string, name: string) => ({
    op: "create-group" as const,
    group: {
      id,
      properties: { displayName: name, mailEnabled: false, mailNickname: name, securityEnabled: true, groupTypes: [] },
    },
  });
  const member = (groupId: string, memberId: string, memberType: "user" | "group") => ({
    op: "add-member" as const,
    groupId,
    memberId,
    memberType,
  });
  mutate(
    user(people.chief, "chief", null),
    user(people.clerk, "clerk", people.chief),
    group(groups.outer, "outer"),
    group(groups.inner, "inner"),
    member(groups.outer, people.clerk, "user"),
    member(groups.outer, groups.inner, "group"),
    member(groups.inner, people.chief, "user"),
  );
  const { connectionId, context } = await stage.connect(tid);
  await stage.sync(connectionId, "full");

  const { ambient, store } = stage;
  const needs: Scene["needs"] = {
    ambient,
    store,
    keys: { ring: () => Promise.resolve(context.ring) },
    hints: stage.needs.hints,
    consumers: consumerStore(stage.handles.state),
    ledger: subscriptionLedger(stage.handles.shared),
    wait: (milliseconds) => Promise.resolve(ambient.advance(milliseconds)),
  };
  const head: Scene["head"] = async () => {
    const found = await store.read(connectionId, "head", ids.head);
    if (!found) throw new Error("there is no head");
    return found;
  };
  return {
    stage,
    tid,
    connectionId,
    context,
    people,
    groups,
    id: (oid) => personId(context.ring, oid),
    mutate,
    head,
    put: async (...docs) => {
      for (const doc of docs) await stage.handles.directory.items.upsert({ ...doc });
    },
    needs,
    views: viewsOf(needs),
  };
};
