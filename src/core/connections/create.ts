/** Makes a draft: a name, the access that is wished for, and keys. Nothing is known of any tenant yet. */
import { z } from "zod";
import { type Ambient, iso } from "../ambient.ts";
import type { AccessLog } from "../audit/access-log.ts";
import { chainStart, logDocument } from "../audit/change-log.ts";
import { actorOf } from "../audit/entries.ts";
import { logSecondsOf } from "../audit/retention.ts";
import type { Caller } from "../context.ts";
import type { Keys } from "../crypto/keys.ts";
import { AppError, isAppError } from "../errors.ts";
import { type ConnectionDoc, type Head, ids } from "../store/documents.ts";
import { newHead } from "../store/head.ts";
import { type ConnectionIndex, type DirectoryStore, UnknownOutcome, type Write } from "../store/ports.ts";
import { emptySize, grown } from "../store/size.ts";
import { entryOf } from "./change.ts";
import { DisplayName, nameIndex, sealName } from "./name.ts";
import { orphanMilliseconds } from "./read.ts";
import { defaultSettings } from "./settings.ts";
import { settingsDoc } from "./settings-doc.ts";
import { type Tier, type TierRecord, tiers } from "./tiers.ts";
import { type ConnectionView, connectionView } from "./views.ts";

export const CreateConnection = z.strictObject({
  displayName: DisplayName,
  access: z.strictObject({
    read: z.literal(true),
    write: z.boolean().default(false),
    licences: z.boolean().default(false),
    signIn: z.boolean().default(false),
    calendar: z.boolean().default(false),
  }),
});
export type CreateConnection = z.infer<typeof CreateConnection>;

export interface CreateNeeds {
  ambient: Ambient;
  store: Pick<DirectoryStore, "read" | "write">;
  index: ConnectionIndex;
  keys: Keys;
  access: AccessLog;
  /** Whether this installation has an app registration for the tier. */
  offers(tier: Tier): boolean;
}

export const createConnection =
  (needs: CreateNeeds) =>
  async (caller: Caller, input: CreateConnection): Promise<ConnectionView> => {
    const { ambient, store, keys, access } = needs;
    for (const tier of tiers) requireOffered(needs, tier, input.access[tier]);
    const connectionId = ambient.ulid();
    const createdAt = iso(ambient.now());
    await reserve(needs, caller.workspaceId, connectionId, input.displayName, createdAt);

    const { ring, doc: ringDoc } = await keys.draftRing(connectionId);
    const doc: ConnectionDoc = {
      id: ids.connection,
      kind: "connection",
      connectionId,
      v: 1,
      workspaceId: caller.workspaceId,
      displayName: sealName(ambient, ring, connectionId, input.displayName),
      state: "draft",
      attention: null,
      quarantine: null,
      tid: null,
      tiers: {
        read: wished(input.access.read),
        write: wished(input.access.write),
        licences: wished(input.access.licences),
        signIn: wished(input.access.signIn),
        calendar: wished(input.access.calendar),
      },
      settings: defaultSettings,
      settingsVersion: 1,
      settingsBy: null,
      blacklist: { version: 0, entries: 0 },
      productGroups: { version: 0, count: 0 },
      wizard: { done: [], finishedAt: null },
      createdAt,
      closesAt: null,
    };
    const changes = [
      { field: "displayName", before: null, after: input.displayName },
      { field: "access", before: null, after: tiers.filter((tier) => input.access[tier]) },
    ];
    const entry = entryOf(ambient, { ring, connectionId }, caller, {
      kind: "connection",
      op: "created",
      object: "connection",
      changes,
    });
    const beginning = { sequence: 0, chain: chainStart(connectionId) };
    const log = logDocument(connectionId, beginning, ambient.now(), [entry], logSecondsOf(ambient));
    const settings = settingsDoc(ambient, ring, doc, {
      at: createdAt,
      by: actorOf(caller),
      fields: [],
      restoredFrom: null,
    });
    const documents: Write[] = [
      { op: "create", doc: log.doc },
      { op: "create", doc },
      { op: "create", doc: ringDoc },
      { op: "create", doc: settings },
    ];
    const head = {
      ...newHead(connectionId, ambient.ulid()),
      sequence: log.sequence,
      chain: log.chain,
      size: grown(emptySize, { writes: documents, logBytes: 0 }, ambient.now(), logSecondsOf(ambient)),
    };
    await writeOnce(store, head, documents);
    await access.record(caller.workspaceId, {
      what: "connection-created",
      route: "connections.create",
      ...actorOf(caller),
      connectionId,
      correlationId: caller.correlationId,
    });
    const stored = await store.read(connectionId, "connection", ids.connection);
    if (!stored) throw new AppError("store-unavailable");
    return connectionView(stored, head, ring);
  };

export const requireOffered = (needs: Pick<CreateNeeds, "offers">, tier: Tier, asked: boolean | undefined): void => {
  if (asked && !needs.offers(tier)) throw new AppError("tier-not-offered", { field: `access.${tier}` });
};

const wished = (wanted: boolean): TierRecord => ({ wanted, state: wanted ? "consent-needed" : "off", missing: [] });

/** Nobody else knows the id yet, so a refusal or an unknown outcome can only be an earlier send of the same batch. */
const writeOnce = async (store: CreateNeeds["store"], head: Head, documents: readonly Write[]): Promise<void> => {
  try {
    const result = await store.write(head.connectionId, [{ op: "create", doc: head }, ...documents]);
    if (result.ok) return;
  } catch (error) {
    if (!(error instanceof UnknownOutcome)) throw error;
  }
  const written = await store.read(head.connectionId, "head", ids.head);
  if (written?.commitId !== head.commitId) throw new AppError("store-unavailable");
};

const reserve = async (
  { ambient, store, index, keys }: CreateNeeds,
  workspaceId: string,
  id: string,
  name: string,
  createdAt: string,
): Promise<void> => {
  const row = { id, workspaceId, nameIndex: nameIndex(await keys.nameKey(), workspaceId, name), createdAt };
  try {
    return await index.create(row);
  } catch (error) {
    if (!isAppError(error, "name-taken")) throw error;
  }
  for (let after: string | undefined; ; ) {
    const page = await index.list(workspaceId, { limit: 100, ...(after === undefined ? {} : { after }) });
    const holder = page.find((other) => other.nameIndex === row.nameIndex);
    const last = page.at(-1);
    if (holder) {
      const young = Date.parse(holder.createdAt) > ambient.now() - orphanMilliseconds;
      if (young || (await store.read(holder.id, "connection", ids.connection))) break;
      await index.remove(workspaceId, holder.id);
      return index.create(row);
    }
    if (!last) break;
    after = last.id;
  }
  throw new AppError("name-taken", { field: "displayName" });
};
