/**
 * Microsoft sends the browser back from its consent page. The address proves nothing: what counts is who signed in before, what
 * a new token carries, and which organisation Graph shows. Then the connection is proven - not active: that takes the one-time
 * code, which only the product can redeem, for the person who began.
 */
import { type Ambient, iso } from "../ambient.ts";
import { type ChangeNeeds, changeConnection, entryOf } from "../connections/change.ts";
import { openConnection, tenantInUse } from "../connections/open.ts";
import type { ConnectionContext } from "../context.ts";
import type { Keys } from "../crypto/keys.ts";
import { AppError, isAppError } from "../errors.ts";
import { type ConnectionDoc, type EntryDraft, ids } from "../store/documents.ts";
import type { Write } from "../store/ports.ts";
import { isAskedFor } from "./connect.ts";
import { backTo, begin, consume, find, type HandshakeNeeds, type Steps, sameBrowser } from "./handshakes.ts";
import { missingPermissions, tierPermissions } from "./permissions.ts";
import type { ConsentGateway } from "./ports.ts";
import { unconfirmedProof } from "./proof.ts";
import { administratorSubject, failed, recordVisit, type SignInNeeds, type Visitor } from "./sign-in.ts";

export interface ApproveNeeds extends HandshakeNeeds, ChangeNeeds {
  ambient: Ambient;
  keys: Keys;
  gateway: Pick<ConsentGateway, "clientId" | "roles" | "organization">;
  access: SignInNeeds["access"];
  wait(milliseconds: number): Promise<void>;
}

/** A grant takes a moment to reach tokens. A person is waiting, so this is all the patience there is. */
const pausesMilliseconds = [0, 500, 1500, 3000];

export const consentCallback =
  (needs: ApproveNeeds) =>
  async (query: URLSearchParams, visitor: Visitor): Promise<{ redirect: string }> => {
    const found = await find(needs)("consent", query.get("state") ?? "");
    const { content } = found;
    if (!sameBrowser(content, visitor.cookie)) throw new AppError("consent-attempt-unusable");
    await consume(needs)(found);
    let missing: string[] = [];
    try {
      checkAnswer(query, content.administrator.tid);
      const granted = await grantedRoles(needs, content);
      missing = missingPermissions(granted, content.tier);
      if (missing.length > 0) throw new AppError("consent-roles-missing");
      const code = await prove(needs, content, visitor);
      return { redirect: backTo(content.returnUrl, { code, connection: content.connectionId }) };
    } catch (error) {
      if (!(error instanceof AppError)) throw error;
      const subject = administratorSubject(content.administrator);
      await recordVisit(needs, content, visitor, { what: "refused", subject, refusal: error.code });
      return { redirect: failed(content, error.code, missing.length > 0 ? { missing: missing.join(" ") } : {}) };
    }
  };

/** `admin_consent=True` comes with a refusal as well, so any `error` decides; without both nothing was approved. */
const checkAnswer = (query: URLSearchParams, tid: string): void => {
  if (query.has("error") || query.get("admin_consent")?.toLowerCase() !== "true")
    throw new AppError("consent-declined");
  if (query.get("tenant")?.toLowerCase() !== tid) throw new AppError("consent-wrong-tenant");
};

const grantedRoles = async (needs: ApproveNeeds, { tier, administrator }: Steps["consent"]): Promise<string[]> => {
  let granted: string[] | null = null;
  for (const pause of pausesMilliseconds) {
    if (pause > 0) await needs.wait(pause);
    try {
      granted = await needs.gateway.roles(tier, administrator.tid);
      if (missingPermissions(granted, tier).length === 0) break;
    } catch (error) {
      // The application itself has not arrived in the tenant yet.
      if (!isAppError(error, "consent-revoked")) throw error;
    }
  }
  if (granted === null) throw new AppError("consent-roles-missing");
  return granted;
};

/** Writes the proof, which nobody has confirmed yet, and returns the one-time code that stands for it. */
const prove = async (needs: ApproveNeeds, approval: Steps["consent"], visitor: Visitor): Promise<string> => {
  const { ambient, store, keys, gateway } = needs;
  const { workspaceId, subject, connectionId, tier, administrator } = approval;
  const { tid } = administrator;
  const { doc: opened, context } = await openConnection(needs)(workspaceId, connectionId);
  if (tierPermissions[tier].application.includes("Organization.Read.All"))
    await checkOrganization(needs, { ...context, tid });
  const clientId = gateway.clientId(tier);
  if (clientId === null) throw new AppError("tier-not-offered");
  const provenAt = iso(ambient.now());
  const by = { subject: administratorSubject(administrator), ip: visitor.ip, correlationId: visitor.correlationId };

  await changeConnection(needs)(opened, async (current) => {
    if (!isAskedFor(current, tier)) throw new AppError("state-conflict");
    if ((tenantInUse(current) ?? tid) !== tid) throw new AppError("consent-wrong-tenant");
    const [before, unconfirmed, ring] = await Promise.all([
      store.read(connectionId, "proof", ids.proof(tier)),
      store.read(connectionId, "proof", ids.unconfirmedProof(tier)),
      store.read(connectionId, "ring", ids.ring),
    ]);
    if (!ring) throw new AppError("key-missing");
    const roles = tierPermissions[tier].application.toSorted();
    const { oid, name, userPrincipalName } = administrator;
    const facts = { connectionId, tier, tid, clientId, roles, provenAt };
    const proof = unconfirmedProof(ambient, context.ring, facts, { oid, name, userPrincipalName });
    const writes: Write[] = [
      unconfirmed ? { op: "replace", doc: proof, etag: unconfirmed._etag } : { op: "create", doc: proof },
    ];
    if (ring.generation === null) writes.push({ op: "replace", doc: await keys.promote(ring), etag: ring._etag });
    const doc: ConnectionDoc = { ...current, tid, state: current.state === "draft" ? "proven" : current.state };
    const approved = [
      { field: "provenAt", before: before?.provenAt ?? null, after: provenAt },
      { field: "tid", before: before?.tid ?? null, after: tid },
      { field: "roles", before: before?.roles ?? null, after: roles },
    ];
    const entries: EntryDraft[] = [
      entryOf(ambient, context, by, { kind: "tier", op: "updated", object: tier, changes: approved, cause: "consent" }),
    ];
    if (doc.state !== current.state) {
      const changes = [{ field: "state", before: current.state, after: doc.state }];
      entries.push(
        entryOf(ambient, context, by, {
          kind: "connection",
          op: "updated",
          object: "connection",
          changes,
          cause: "consent",
        }),
      );
    }
    return { doc, writes, entries };
  });
  return (await begin(needs)("code", { workspaceId, subject, connectionId, tier, tid, provenAt })).secret;
};

const checkOrganization = async ({ gateway }: ApproveNeeds, context: ConnectionContext): Promise<void> => {
  const { id } = await gateway.organization(context);
  if (id.toLowerCase() !== context.tid) throw new AppError("consent-wrong-tenant");
};
