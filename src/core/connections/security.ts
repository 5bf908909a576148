/**
 * Who may do what on one connection, beside what the product's tokens say: `callerOn` is asked by the edge for every route below a
 * connection, before anything of it is opened. A change holds for every request that begins after it was answered.
 */
import { z } from "zod";
import { type Grant, type GrantFault, Grants, grantChanges, grantFault, permissionsUnder } from "../access/grants.ts";
import { iso } from "../ambient.ts";
import type { Caller } from "../context.ts";
import type { KeyRing } from "../crypto/key-ring.ts";
import type { Keys } from "../crypto/keys.ts";
import { open, type Place, seal } from "../crypto/seal.ts";
import { AppError, isAppError } from "../errors.ts";
import { commit } from "../store/commit.ts";
import { ids, type SecurityDoc, type Stored } from "../store/documents.ts";
import type { DirectoryStore } from "../store/ports.ts";
import { type ChangeNeeds, entryOf, readHead, requireMatch, requireOpen } from "./change.ts";
import { connectionIdPattern, type OpenNeeds, openConnection } from "./open.ts";

export const Security = z.strictObject({ grants: Grants });
export type Security = z.infer<typeof Security>;

export const SecurityView = Security.extend({ etag: z.string() });
export type SecurityView = z.infer<typeof SecurityView>;

/** The caller with the permissions he has on this connection: never more than his token gives him. */
export const callerOn =
  (needs: OpenNeeds) =>
  async (caller: Caller, connectionId: string): Promise<Caller> => {
    const doc = connectionIdPattern.test(connectionId) ? await readSecurity(needs.store, connectionId) : null;
    // Another workspace's says nothing, not even that it is there.
    if (doc?.workspaceId !== caller.workspaceId) return caller;
    const ring = await needs.keys.ring(connectionId).catch((error: unknown) => {
      // Its deletion has begun: whoever may do what, it can no longer be opened.
      if (isAppError(error, "key-missing")) throw new AppError("connection-not-found");
      throw error;
    });
    return { ...caller, permissions: permissionsUnder(grantsOf(ring, doc), caller) };
  };

export const showSecurity =
  (needs: OpenNeeds) =>
  async (caller: Caller, connectionId: string): Promise<SecurityView> => {
    const { context } = await openConnection(needs)(caller.workspaceId, connectionId);
    const doc = await readSecurity(needs.store, connectionId);
    return { grants: grantsOf(context.ring, doc), etag: etagOf(doc) };
  };

const maxAttempts = 5;

export const changeSecurity =
  (needs: ChangeNeeds & { keys: Pick<Keys, "ring"> }) =>
  async (
    caller: Caller,
    connectionId: string,
    ifMatch: string | undefined,
    { grants }: Security,
  ): Promise<SecurityView> => {
    const { ambient, store } = needs;
    for (let attempt = 0; attempt < maxAttempts; attempt++) {
      const head = await readHead(store, connectionId);
      const { doc, context } = await openConnection(needs)(caller.workspaceId, connectionId);
      requireOpen(doc);
      const current = await readSecurity(store, connectionId);
      // What the caller may do was read before. Whoever has lost it since cannot know the ETag of the list that took it.
      requireMatch(ifMatch, etagOf(current));
      const before = grantsOf(context.ring, current);
      const changes = grantChanges(before, grants);
      if (changes.length === 0) return { grants: before, etag: etagOf(current) };
      refuse(grantFault(before, grants, caller));
      const next: SecurityDoc = {
        id: ids.security,
        kind: "security",
        connectionId,
        v: 1,
        workspaceId: doc.workspaceId,
        grants: seal(ambient, context.ring.sealing, grantsPlace(connectionId), grants),
        changedAt: iso(ambient.now()),
      };
      const input = { kind: "security", op: "updated", object: "connection", changes } as const;
      const result = await commit(needs, head, {
        // A deletion that began meanwhile has moved it.
        advance: (now) => {
          if (now.epoch !== head.epoch) throw new AppError("changed-meanwhile");
          return now;
        },
        writes: [current ? { op: "replace", doc: next, etag: current._etag } : { op: "create", doc: next }],
        entries: [entryOf(ambient, context, caller, input)],
      });
      if (result.outcome === "committed") return { grants, etag: etagOf(await readSecurity(store, connectionId)) };
    }
    throw new AppError("changed-meanwhile");
  };

const refuse = (found: GrantFault | null): void => {
  if (found?.fault === "locked-out") throw new AppError("editor-locked-out", { field: "grants" });
  if (!found) return;
  const { index, permission } = found;
  throw new AppError("permission-missing", {
    field: index === null ? "grants" : `grants.${index}.permissions`,
    detail: `Nobody grants what he does not hold himself, here ${permission}.`,
  });
};

const noEtag = '"none"';
const etagOf = (doc: Stored<SecurityDoc> | null): string => doc?._etag ?? noEtag;

const readSecurity = (store: Pick<DirectoryStore, "read">, connectionId: string): Promise<Stored<SecurityDoc> | null> =>
  store.read(connectionId, "security", ids.security);

const grantsPlace = (connectionId: string): Place => ({
  container: "directory",
  partition: connectionId,
  document: ids.security,
  fields: "grants",
});

const grantsOf = (ring: KeyRing, doc: SecurityDoc | null): Grant[] =>
  doc ? open(ring.sealing, grantsPlace(doc.connectionId), doc.grants) : [];
