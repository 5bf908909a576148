/** A tenant whose people are chosen by a group, synchronised once, and the live views on it. */

import { sharedStore } from "../../src/adapters/cosmos/shared-store.ts";
import { appTokens } from "../../src/adapters/entra/app-tokens.ts";
import { graphResource } from "../../src/adapters/entra/registration.ts";
import { graphClient } from "../../src/adapters/graph/client.ts";
import { directorySearch } from "../../src/adapters/graph/search.ts";
import type { Settings } from "../../src/core/connections/settings.ts";
import type { ConnectionContext } from "../../src/core/context.ts";
import { personId } from "../../src/core/crypto/key-ring.ts";
import type { Marker } from "../../src/core/directory/scope.ts";
import { ids } from "../../src/core/store/documents.ts";
import { explainPerson } from "../../src/core/views/explain-person.ts";
import { searchGroups } from "../../src/core/views/search-groups.ts";
import { type SearchNeeds, searchPeople } from "../../src/core/views/search-people.ts";
import { type Stage, startStage } from "../support/sync-stage.ts";

/** Object ids that tell in which order they are. */
export const guid = (n: number): string => `00000000-0000-4000-8000-${n.toString(16).padStart(12, "0")}`;

export const outer = guid(0x10);
export const middle = guid(0x11);
export const inner = guid(0x12);
export const other = guid(0x13);
export const people = { nora: guid(1), olaf: guid(2), gil: guid(3), dora: guid(4), moe: guid(5) };

export interface SearchScene {
  stage: Stage;
  tid: string;
  connectionId: string;
  context: ConnectionContext;
  needs: SearchNeeds;
  id(oid: string): string;
  mutate(...mutations: Parameters<Stage["simulator"]["commands"]["mutate"]["run"]>[0]["mutations"]): void;
  mark(oid: string, marker: Marker): Promise<void>;
  /** Settings as somebody has just changed them, without a run since. */
  chooseNow(settings: Partial<Settings>): Promise<void>;
  /** Every document of the connection, as text. */
  held(): Promise<string>;
  /** Requests that Graph has had, by path of the route, since this was last asked. */
  asked(): string[];
  views: {
    searchPeople: ReturnType<typeof searchPeople>;
    searchGroups: ReturnType<typeof searchGroups>;
    explainPerson: ReturnType<typeof explainPerson>;
  };
}

export const user = (id: string, displayName: string, properties: Record<string, unknown> = {}) => {
  const name = displayName.toLowerCase().replaceAll(/[^a-z]+/g, ".");
  return {
    op: "create-user" as const,
    user: {
      id,
      managerId: null,
      properties: {
        displayName,
        userPrincipalName: `${name}@t1.example`,
        mail: `${name}@t1.example`,
        accountEnabled: true,
        userType: "Member",
        ...properties,
      },
    },
  };
};

export const group = (id: string, displayName: string, properties: Record<string, unknown> = {}) => ({
  op: "create-group" as const,
  group: {
    id,
    properties: {
      displayName,
      mailEnabled: false,
      mailNickname: displayName.replaceAll(" ", ""),
      securityEnabled: true,
      groupTypes: [],
      ...properties,
    },
  },
});

export const member = (groupId: string, memberId: string, memberType: "user" | "group" = "user") => ({
  op: "add-member" as const,
  groupId,
  memberId,
  memberType,
});

export const chosen: Partial<Settings> = {
  people: {
    from: "groups",
    groups: [outer],
    membership: "nested",
    kinds: { members: true, guests: false, disabled: false, withoutMail: true },
    oneByOne: false,
  },
  attributes: {
    name: { from: "displayName", clear: false },
    title: { from: "jobTitle", clear: false },
  },
};

/** Nora and Moe are in (Moe twice, by ways of the same length), Olaf is in no group; Gil and Dora are in one and refused. */
export const openSearchScene = async (settings: Partial<Settings> = chosen): Promise<SearchScene> => {
  const stage = await startStage();
  const tid = stage.tenant({ users: 5, groups: 0, seed: 1 });
  const mutate: SearchScene["mutate"] = (...mutations) => void stage.simulator.commands.mutate.run({ tid, mutations });
  mutate(
    user(people.nora, "Nora Quill", { jobTitle: "Captain" }),
    user(people.olaf, "Olaf Quill"),
    user(people.gil, "Gil Quill", { userType: "Guest" }),
    user(people.dora, "Dora Quill", { accountEnabled: false }),
    user(people.moe, "Moe Quill", { mail: null }),
    group(outer, "Crew"),
    group(middle, "Deck crew", { description: "On deck" }),
    group(inner, "Engine crew"),
    group(other, "Passengers"),
    member(outer, middle, "group"),
    member(outer, inner, "group"),
    member(outer, people.nora),
    member(outer, people.gil),
    member(outer, people.dora),
    member(inner, people.moe),
    member(middle, people.moe),
    member(other, people.olaf),
  );
  const { connectionId, context } = await stage.connect(tid, settings);
  await stage.sync(connectionId, "full");

  const tokens = appTokens(
    { read: { clientId: stage.clientId, credential: { kind: "secret", secret: "a development secret" } } },
    { authority: stage.simulator.entraUrl, resource: graphResource(stage.simulator.graphUrl), now: stage.ambient.now },
  );
  const client = graphClient({
    baseUrl: stage.simulator.graphUrl,
    tier: "read",
    clientId: stage.clientId,
    tokens,
    shared: sharedStore(stage.handles.shared),
    now: stage.ambient.now,
  });
  const needs: SearchNeeds = {
    ambient: stage.ambient,
    store: stage.store,
    keys: { ring: () => Promise.resolve(context.ring) },
    search: directorySearch(client),
  };
  const { log } = stage.simulator.graph;
  let mark = log.mark();
  const scene: SearchScene = {
    stage,
    tid,
    connectionId,
    context,
    needs,
    id: (oid) => personId(context.ring, oid),
    mutate,
    mark: async (oid, marker) => {
      const id = ids.marker(scene.id(oid));
      const changedAt = new Date(stage.ambient.now()).toISOString();
      await stage.handles.directory.items.upsert({ id, kind: "marker", connectionId, v: 1, marker, changedAt });
    },
    chooseNow: async (changes) => {
      const doc = await stage.store.read(connectionId, "connection", ids.connection);
      if (!doc) throw new Error("there is no connection");
      await stage.handles.directory.items.upsert({ ...doc, settings: { ...doc.settings, ...changes } });
    },
    held: async () => {
      const query = stage.handles.directory.items.query<{ id: string }>("SELECT * FROM c", {
        partitionKey: connectionId,
      });
      const { resources } = await query.fetchAll();
      return JSON.stringify(resources.toSorted((a, b) => (a.id < b.id ? -1 : 1)));
    },
    asked: () => {
      const paths = log.since(mark).map(({ path }) => path);
      mark = log.mark();
      return paths;
    },
    views: {
      searchPeople: searchPeople(needs),
      searchGroups: searchGroups(needs),
      explainPerson: explainPerson(needs),
    },
  };
  return scene;
};
