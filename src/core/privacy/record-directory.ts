/** The documents of a connection's partition, field by field: see `record-places.ts`. */
import type { DocOf, Kind } from "../store/documents.ts";
import type { RowId } from "./record-rows.ts";

export const nothing = "nothing";
export type Says = RowId | typeof nothing;

/** Beside what names the document's form, and the partition it lies in. */
export type FieldOf<D> = Exclude<keyof D & string, "kind" | "connectionId" | "v" | "ttl">;

export interface StoredPlace<F extends string = string> {
  ttl: number | "log" | null;
  superseded?: true;
  fields: Record<F, Says>;
}

const days = 86_400;

export const directoryPlaces: { [K in Kind]: StoredPlace<FieldOf<DocOf<K>>> } = {
  head: {
    ttl: null,
    fields: {
      id: nothing,
      sequence: nothing,
      chain: nothing,
      owner: nothing,
      leaseUntil: nothing,
      commitId: nothing,
      wakeAt: nothing,
      dueAt: nothing,
      tellAt: nothing,
      epoch: nothing,
      attempts: nothing,
      failures: nothing,
      strikes: nothing,
      requested: nothing,
      run: "runs",
      links: nothing,
      suspect: nothing,
      retireAt: nothing,
      reviewAt: nothing,
      doubts: nothing,
      usedOn: nothing,
      marked: nothing,
      lastRound: nothing,
      enlisted: nothing,
      notified: nothing,
      again: nothing,
      restUntil: nothing,
      arrivals: nothing,
      counters: nothing,
      size: nothing,
      emptying: nothing,
      erasing: "runs",
      guard: nothing,
    },
  },
  connection: {
    ttl: null,
    fields: {
      id: nothing,
      workspaceId: nothing,
      displayName: "typed",
      state: nothing,
      attention: nothing,
      quarantine: nothing,
      tid: nothing,
      tiers: nothing,
      settings: nothing,
      settingsVersion: nothing,
      settingsBy: "actors",
      blacklist: nothing,
      productGroups: nothing,
      wizard: nothing,
      createdAt: nothing,
      closesAt: nothing,
    },
  },
  ring: {
    ttl: null,
    fields: {
      id: nothing,
      generation: nothing,
      wrapped: nothing,
      wrappedAt: nothing,
      careAt: nothing,
      rotation: "actors",
      rekey: nothing,
    },
  },
  proof: {
    ttl: null,
    fields: {
      id: nothing,
      tier: nothing,
      tid: nothing,
      clientId: nothing,
      roles: nothing,
      provenAt: nothing,
      administrator: "administrators",
    },
  },
  security: { ttl: null, fields: { id: nothing, workspaceId: nothing, grants: "rights", changedAt: nothing } },
  person: {
    ttl: null,
    fields: {
      id: "standing",
      state: "standing",
      reason: "standing",
      leftAt: "standing",
      hash: "lookUps",
      key: "standing",
      record: "attributes",
      mailIndex: "lookUps",
      upnIndex: "lookUps",
      productUser: "link",
      changedAt: "standing",
    },
  },
  "product-user": { ttl: null, fields: { id: "link", personId: "link" } },
  marker: { ttl: null, fields: { id: "decision", marker: "decision", changedAt: "decision" } },
  group: {
    ttl: null,
    fields: {
      id: nothing,
      role: nothing,
      of: nothing,
      shown: nothing,
      hash: "groups",
      record: "groups",
      leaves: nothing,
      children: nothing,
      changedAt: nothing,
    },
  },
  members: { ttl: null, fields: { id: nothing, groupId: nothing, members: "membership" } },
  run: {
    ttl: "log",
    fields: {
      id: nothing,
      mode: nothing,
      cause: nothing,
      phase: nothing,
      outcome: nothing,
      impact: nothing,
      failure: nothing,
      counts: nothing,
      warnings: "runs",
      planHash: nothing,
      guard: nothing,
      requestedAt: nothing,
      startedAt: nothing,
      endedAt: nothing,
      settingsVersion: nothing,
      requestedBy: "actors",
      mail: nothing,
      plan: nothing,
      lateness: nothing,
    },
  },
  blacklist: { ttl: "log", superseded: true, fields: { id: nothing, entries: "blacklist" } },
  "product-groups": { ttl: days, superseded: true, fields: { id: nothing, groups: "groups" } },
  settings: {
    ttl: "log",
    superseded: true,
    fields: {
      id: nothing,
      settings: nothing,
      settingsVersion: nothing,
      blacklist: nothing,
      at: nothing,
      by: "actors",
      fields: nothing,
      restoredFrom: nothing,
    },
  },
  operation: {
    ttl: null,
    fields: {
      id: nothing,
      name: nothing,
      about: "operations",
      target: "operations",
      begunAt: nothing,
      checkAt: nothing,
      checks: nothing,
    },
  },
  log: {
    ttl: "log",
    fields: {
      id: nothing,
      first: nothing,
      last: nothing,
      prev: nothing,
      at: nothing,
      subjects: "history",
      // Its parts are in `entryFields`.
      body: "history",
    },
  },
};
