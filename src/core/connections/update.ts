/**
 * Renames a connection and switches its tiers. Off is off when this returns; the grant itself lies in Entra ID, where only the
 * customer can take it back. On needs an administrator, unless one has approved this very tier for this connection before.
 */
import { z } from "zod";
import type { EntryDraft, FieldChange } from "../audit/entries.ts";
import { missingHere } from "../consent/permissions.ts";
import type { ConsentGateway } from "../consent/ports.ts";
import { reviewed } from "../consent/review.ts";
import type { Caller, ConnectionContext } from "../context.ts";
import type { Keys } from "../crypto/keys.ts";
import { AppError } from "../errors.ts";
import { type ConnectionDoc, ids, type ProofDoc, type Stored } from "../store/documents.ts";
import type { ConnectionIndex, Write } from "../store/ports.ts";
import { type ChangeNeeds, changeConnection, entryOf, requireMatch, requireOpen } from "./change.ts";
import { requireOffered } from "./create.ts";
import { DisplayName, nameIndex, openName, sealName } from "./name.ts";
import { openConnection, tenantInUse } from "./open.ts";
import { isRedeemed, switchedOff, type Tier, type TierRecord, tiers, working } from "./tiers.ts";
import { type ConnectionView, connectionView } from "./views.ts";

export const UpdateConnection = z.strictObject({
  displayName: DisplayName.optional(),
  access: z
    .strictObject({
      read: z.literal(true).optional(),
      write: z.boolean().optional(),
      licences: z.boolean().optional(),
      signIn: z.boolean().optional(),
      calendar: z.boolean().optional(),
    })
    .optional(),
});
export type UpdateConnection = z.infer<typeof UpdateConnection>;

export interface UpdateNeeds extends ChangeNeeds {
  index: Pick<ConnectionIndex, "rename">;
  keys: Keys;
  gateway: Pick<ConsentGateway, "clientId" | "roles">;
  offers(tier: Tier): boolean;
}

/** What the administrator of the workspace should be told about a switch. */
export interface Notice {
  tier: Tier;
  code: "grant-remains" | "consent-needed";
  text: string;
}

const grantRemains =
  "This connection no longer uses the access. The permission itself stays in Microsoft Entra ID until an administrator removes it there; other connections to the same organisation may rely on it.";
const consentNeeded = "An administrator of the organisation has to approve this access.";

export const updateConnection =
  (needs: UpdateNeeds) =>
  async (
    caller: Caller,
    connectionId: string,
    ifMatch: string | undefined,
    input: UpdateConnection,
  ): Promise<ConnectionView & { notices: Notice[] }> => {
    const { ambient, index, keys } = needs;
    const { doc: opened, context } = await openConnection(needs)(caller.workspaceId, connectionId);
    requireMatch(ifMatch, opened._etag);
    requireOpen(opened);
    for (const tier of tiers) requireOffered(needs, tier, input.access?.[tier]);

    const oldName = openName(context.ring, opened);
    const newName = input.displayName ?? oldName;
    const rename = async (name: string): Promise<void> =>
      index.rename(caller.workspaceId, connectionId, nameIndex(await keys.nameKey(), caller.workspaceId, name));
    if (newName !== oldName) await rename(newName);

    try {
      let notices: Notice[] = [];
      const { doc, head } = await changeConnection(needs)(opened, async (current) => {
        requireMatch(ifMatch, current._etag);
        const switches = await switchTiers(needs, current, input.access ?? {});
        notices = switches.flatMap(({ notice }) => notice ?? []);
        const renamed = newName !== oldName;
        if (switches.length === 0 && !renamed) return null;
        const displayName = renamed ? sealName(ambient, context.ring, connectionId, newName) : current.displayName;
        const entries: EntryDraft[] = switches.map(({ tier, changes }) =>
          entryOf(ambient, context, caller, { kind: "tier", op: "updated", object: tier, changes }),
        );
        if (renamed) {
          const changes = [{ field: "displayName", before: oldName, after: newName }];
          entries.push(
            entryOf(ambient, context, caller, { kind: "connection", op: "updated", object: "connection", changes }),
          );
        }
        const switched = Object.fromEntries(switches.map(({ tier, record }) => [tier, record]));
        const stops = switches.some(({ record }) => !record.wanted);
        const revived = switches.filter(({ record }) => isRedeemed(record));
        return {
          doc: { ...current, displayName, tiers: { ...current.tiers, ...switched } },
          writes: switches.flatMap(({ write }) => write ?? []),
          entries,
          advance: (before) => {
            const moved = stops ? { ...before, epoch: before.epoch + 1 } : before;
            return revived.reduce((at, { tier }) => ({ ...at, ...reviewed(at, tier, ambient.now()) }), moved);
          },
        };
      });
      return { ...connectionView(doc, head, context.ring), notices };
    } catch (error) {
      if (newName !== oldName) await rename(await storedName(needs, opened, context));
      throw error;
    }
  };

interface TierSwitch {
  tier: Tier;
  record: TierRecord;
  changes: FieldChange[];
  notice?: Notice;
  write?: Write;
}

const switchTiers = async (
  needs: UpdateNeeds,
  current: ConnectionDoc,
  access: NonNullable<UpdateConnection["access"]>,
): Promise<TierSwitch[]> => {
  const switches: TierSwitch[] = [];
  for (const tier of tiers) {
    const before = current.tiers[tier];
    const wanted = access[tier] ?? before.wanted;
    if (wanted === before.wanted) continue;
    const [proof, unconfirmed] = await Promise.all([
      needs.store.read(current.connectionId, "proof", ids.proof(tier)),
      needs.store.read(current.connectionId, "proof", ids.unconfirmedProof(tier)),
    ]);
    const record = wanted ? await switchedOn(needs, current, tier, proof) : switchedOff;
    const changes = [
      { field: "wanted", before: before.wanted, after: wanted },
      { field: "state", before: before.state, after: record.state },
    ];
    switches.push({
      tier,
      record,
      changes,
      ...(record.state === "consent-needed" ? { notice: { tier, code: "consent-needed", text: consentNeeded } } : {}),
      ...(record.state === "off" && proof ? { notice: { tier, code: "grant-remains", text: grantRemains } } : {}),
      // An approval that nobody has confirmed must not come to life when the tier is switched on again.
      ...(unconfirmed ? { write: { op: "delete", id: unconfirmed.id, etag: unconfirmed._etag } } : {}),
    });
  }
  return switches;
};

const switchedOn = async (
  { gateway }: UpdateNeeds,
  doc: ConnectionDoc,
  tier: Tier,
  proof: Stored<ProofDoc> | null,
): Promise<TierRecord> => {
  const tid = tenantInUse(doc);
  const approvedHere = proof !== null && tid !== null && proof.tid === tid && proof.clientId === gateway.clientId(tier);
  const usable = approvedHere && (await isUsable(gateway, proof, tid));
  return usable ? working : { wanted: true, state: "consent-needed", missing: [] };
};

const isUsable = async (gateway: UpdateNeeds["gateway"], proof: ProofDoc, tid: string): Promise<boolean> => {
  try {
    return missingHere(proof.tier, proof, await gateway.roles(proof.tier, tid)).length === 0;
  } catch (error) {
    if (error instanceof AppError && error.kind === "not-consented") return false;
    throw error;
  }
};

/** The index follows the document: after a change that failed it gets back the name that is really stored. */
const storedName = async (needs: UpdateNeeds, opened: ConnectionDoc, context: ConnectionContext): Promise<string> =>
  openName(context.ring, (await needs.store.read(opened.connectionId, "connection", ids.connection)) ?? opened);
