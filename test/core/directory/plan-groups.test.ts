import { describe, expect, it } from "vitest";
import { keyRing, newRingContent } from "../../../src/core/crypto/key-ring.ts";
import {
  type GroupChange,
  type GroupIdentity,
  groupHash,
  type KnownGroup,
  planGroup,
  planGroupRemoval,
} from "../../../src/core/directory/plan.ts";
import type { RawObject } from "../../../src/core/directory/ports.ts";
import { testAmbient } from "../test-ambient.ts";

const ring = keyRing(newRingContent(testAmbient()));

describe("a group", () => {
  const groupId = "9f000000-1111-4222-8333-abcdefabcdef";
  const fields = { displayName: "Sales", groupTypes: ["Unified"], mailEnabled: false };
  const stored: KnownGroup = { hash: groupHash(ring, { fields }), record: { fields } };
  const shown: GroupIdentity = { id: groupId, role: "shown", of: null };
  const group = (properties: RawObject["properties"]): RawObject => ({ id: groupId, properties });

  it.each<[string, KnownGroup | null, RawObject, Partial<GroupChange> | null, number]>([
    ["new", null, group(fields), { op: "create", from: null, to: stored.hash, record: { fields } }, 0],
    ["unchanged", stored, group(fields), null, 0],
    ["not mentioned", stored, group({}), null, 0],
    ["emptied", stored, group({ displayName: "", groupTypes: [] }), null, 2],
    [
      "changed",
      stored,
      group({ mailEnabled: true }),
      { op: "update", from: stored.hash, record: { fields: { ...fields, mailEnabled: true } } },
      0,
    ],
  ])("that is %s", (_, before, object, change, kept) => {
    const planned = planGroup(ring, shown, before, object);
    if (change === null) expect(planned.change).toBeNull();
    else expect(planned.change).toMatchObject({ kind: "group", ...shown, ...change });
    expect(planned.kept).toBe(kept);
  });

  it("met again in a round is planned from all that was said", () => {
    const first = planGroup(ring, shown, null, group({ displayName: "Sales" })).change;
    const second = planGroup(ring, shown, null, group({ description: "All of them" }), first?.record ?? null).change;
    expect(second).toMatchObject({
      op: "create",
      record: { fields: { displayName: "Sales", description: "All of them" } },
    });
  });

  it("that goes is removed from the version that is stored", () => {
    expect(planGroupRemoval(shown, stored, "soft-deleted")).toEqual({
      kind: "group",
      ...shown,
      op: "remove",
      from: stored.hash,
      to: null,
      evidence: "soft-deleted",
    });
  });

  it.each<GroupIdentity>([
    { id: "11000000-1111-4222-8333-abcdefabcdef", role: "filter", of: groupId },
    { id: "12000000-1111-4222-8333-abcdefabcdef", role: "product", of: "sales" },
    { id: "13000000-1111-4222-8333-abcdefabcdef", role: "scope", of: null },
  ])("that the product never sees ($role) is stored without its attributes", (identity) => {
    const told = { ...fields, visibility: "HiddenMembership", description: "All of them" };
    const created = planGroup(ring, identity, null, group(told)).change;
    const record = { fields: { visibility: "HiddenMembership" } };
    expect(created).toEqual({
      kind: "group",
      ...identity,
      op: "create",
      from: null,
      to: groupHash(ring, record),
      record,
    });
    const held: KnownGroup = { hash: groupHash(ring, record), record };
    expect(planGroup(ring, identity, held, group({ ...told, displayName: "Other" })).change).toBeNull();
    expect(planGroup(ring, identity, held, group({ visibility: "Private" })).change?.op).toBe("update");
  });
});
