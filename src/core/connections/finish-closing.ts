/**
 * Deletes a connection whose time has come. The connection key goes first: from then on nothing can be opened, whatever else
 * is still there. Every step can be repeated, and head, which schedules the work, goes last.
 */
import type { Ambient } from "../ambient.ts";
import type { AccessLog, Receipt } from "../audit/access-log.ts";
import type { Keys } from "../crypto/keys.ts";
import { AppError } from "../errors.ts";
import { destructionDates } from "../privacy/receipt.ts";
import { type Commit, commit, maxWritesPerCommit } from "../store/commit.ts";
import { type ConnectionDoc, type Head, ids, type Kind, type Stored } from "../store/documents.ts";
import type { ConnectionIndex, ConsumerStore, DirectoryStore, ListedKind, Write } from "../store/ports.ts";
import type { WebhookStore } from "../webhooks/ports.ts";
import { marginMilliseconds } from "./close.ts";
import { tiers } from "./tiers.ts";

export interface FinishClosingNeeds {
  ambient: Ambient;
  store: DirectoryStore;
  index: Pick<ConnectionIndex, "remove">;
  consumers: Pick<ConsumerStore, "list" | "remove">;
  webhooks: Pick<WebhookStore, "list" | "remove">;
  keys: Pick<Keys, "destroy">;
  access: AccessLog;
  leaseMilliseconds: number;
  /** How long one call may work before it hands over. */
  sliceMilliseconds: number;
}

export type ClosingOutcome = "closed" | "more" | "not-due" | "lost-turn";

type Removable = { id: string; _etag: string };

/** Head stays for a day without content, so that whoever still holds its ETag is refused instead of surprised. */
const headTtlSeconds = 86_400;

/** `head` as the worker claimed it: its owner holds the lease. */
export const finishClosing =
  (needs: FinishClosingNeeds) =>
  async (connection: Stored<ConnectionDoc>, claimed: Stored<Head>): Promise<ClosingOutcome> => {
    const { ambient, store, keys, index, access } = needs;
    const { connectionId, workspaceId, state, closesAt } = connection;
    const { owner, epoch } = claimed;
    if (owner === null || state !== "closing" || closesAt === null)
      throw new AppError("unexpected", { detail: "Nothing is to be closed." });
    const endsAt = ambient.now() + needs.sliceMilliseconds;
    let head = claimed;
    const commitAs = async (change: Omit<Commit, "worker" | "entries">): Promise<"done" | "moved" | "lost"> => {
      const result = await commit({ ambient, store }, head, { ...change, ends: true, worker: { owner, epoch } });
      if ("head" in result) head = result.head;
      return result.outcome === "committed" ? "done" : result.outcome === "moved" ? "moved" : "lost";
    };
    const holdOn = (before: Head): Head => {
      const leaseUntil = ambient.now() + needs.leaseMilliseconds;
      return { ...before, leaseUntil, wakeAt: leaseUntil, attempts: 0 };
    };

    const release = async (wakeAt: number): Promise<"done" | "moved" | "lost"> =>
      commitAs({ advance: (before) => ({ ...before, owner: null, leaseUntil: 0, dueAt: wakeAt, wakeAt }) });

    const dueAt = Date.parse(closesAt) + marginMilliseconds;
    if (dueAt > ambient.now()) return (await release(dueAt)) === "done" ? "not-due" : "lost-turn";
    const ring = await store.read(connectionId, "ring", ids.ring);
    if (ring) await keys.destroy(connectionId, ring.generation);

    for (const remaining of Object.values(remainingOf(store, connectionId))) {
      for (;;) {
        const documents = await remaining();
        if (documents.length === 0) break;
        if ((await commitAs({ advance: holdOn, writes: documents.map(removal) })) === "lost") return "lost-turn";
        if (ambient.now() < endsAt) continue;
        return (await release(ambient.now())) === "done" ? "more" : "lost-turn";
      }
    }

    for (const { name } of await needs.consumers.list(connectionId)) await needs.consumers.remove(connectionId, name);
    for (const { endpoint } of await needs.webhooks.list(connectionId))
      await needs.webhooks.remove(connectionId, endpoint);
    await index.remove(workspaceId, connectionId);
    await access.record(workspaceId, {
      what: "connection-deleted",
      route: "connections.closed",
      subject: "system",
      ip: "unknown",
      connectionId,
      receipt: { ...destructionDates(ambient.now()), destroyed: destroyedOf(claimed) },
      correlationId: ambient.ulid(),
    });
    const last = await store.read(connectionId, "connection", ids.connection);
    return (await commitAs({ advance: emptied, writes: last ? [removal(last)] : [] })) === "done"
      ? "closed"
      : "lost-turn";
  };

const destroyedOf = ({ counters, sequence }: Head): NonNullable<Receipt["destroyed"]> => ({
  people: counters.people,
  groups: counters.groups,
  memberships: counters.memberships,
  logEntries: sequence,
});

const emptied = ({ erasing: _erasing, ...before }: Head): Head => ({
  ...before,
  owner: null,
  leaseUntil: 0,
  dueAt: null,
  wakeAt: null,
  tellAt: null,
  // Each turn that is taken in vain writes head, and puts off its end.
  retireAt: null,
  reviewAt: null,
  requested: null,
  run: null,
  links: null,
  emptying: [],
  ttl: headTtlSeconds,
});

const removal = ({ id, _etag }: Removable): Write => ({ op: "delete", id, etag: _etag });

/**
 * The next documents of each kind, none when there are no more. Every kind has to be here, or the compiler objects: what is
 * forgotten would outlive the connection.
 */
const remainingOf = (
  store: DirectoryStore,
  connectionId: string,
): Record<Exclude<Kind, "head" | "connection">, () => Promise<Removable[]>> => {
  const listed =
    (kind: Exclude<ListedKind, "person">, limit = maxWritesPerCommit) =>
    (): Promise<Removable[]> =>
      store.list(connectionId, kind, { limit });
  const loaded = async (kind: Kind, documentIds: string[]): Promise<Removable[]> => [
    ...(await store.load(connectionId, kind, documentIds)).values(),
  ];
  /** A person and the row that makes its link unique go together: the row is found through the person only. */
  const people = async (): Promise<Removable[]> => {
    const found = await store.list(connectionId, "person", { limit: Math.floor(maxWritesPerCommit / 2) });
    const rows = found.flatMap(({ productUser }) => (productUser ? [ids.productUser(productUser.index)] : []));
    return [...found, ...(rows.length > 0 ? await loaded("product-user", rows) : [])];
  };
  return {
    ring: () => loaded("ring", [ids.ring]),
    "product-user": people,
    person: people,
    members: listed("members"),
    group: listed("group"),
    run: listed("run"),
    marker: listed("marker"),
    operation: listed("operation"),
    settings: listed("settings"),
    // One may be as large as a document can be, and reading is all that costs.
    blacklist: listed("blacklist", 10),
    "product-groups": listed("product-groups", 10),
    log: () => store.log(connectionId, 0, maxWritesPerCommit),
    proof: () => loaded("proof", [...tiers.map(ids.proof), ...tiers.map(ids.unconfirmedProof)]),
    // The last one: while anything is left to be asked for, it says who may.
    security: () => loaded("security", [ids.security]),
  };
};
