/** A connection with a document of every kind, that is to be deleted. */
import type { Grant } from "../../src/core/access/grants.ts";
import { commit } from "../../src/core/store/commit.ts";
import { ids, type ProductGroup } from "../../src/core/store/documents.ts";
import { creates, groupDoc, personDoc, runDoc, sealedText, shardDoc } from "../adapters/cosmos-fixture.ts";
import { dumpOf } from "../support/traces.ts";
import type { Stage } from "./connections-stage.ts";

const present = <T>(value: T | null): T => {
  if (value === null) throw new Error("it is not there");
  return value;
};
export const connectionIn = async ({ store }: Stage, id: string) =>
  present(await store.read(id, "connection", "connection"));
export const headIn = async ({ store }: Stage, id: string) => present(await store.read(id, "head", "head"));
export const claimIn = async ({ ambient, store }: Stage, id: string) => {
  const now = ambient.now();
  return present(await store.claim(id, { owner: ambient.ulid(), now, leaseUntil: now + 60_000 }));
};

/** Lines of the database's dump in which the connection is named. */
export const storedAbout = async ({ server }: Stage, id: string): Promise<string[]> =>
  (await dumpOf(server)).split("\n").filter((line) => line.includes(id));

/** More documents of each kind than one commit can delete of people. */
export const fillWith = async (stage: Stage, connectionId: string): Promise<void> => {
  const group = { ...groupDoc(connectionId, "g1", []), leaves: [""] };
  const row = {
    id: ids.productUser("index"),
    kind: "product-user" as const,
    connectionId,
    v: 1 as const,
    personId: "p00",
  };
  const people = Array.from({ length: 60 }, (_, index) =>
    personDoc(connectionId, `p${String(index).padStart(2, "0")}`),
  );
  const linked = people.map((person, index) =>
    index === 0 ? { ...person, productUser: { value: sealedText<string>("user"), index: "index" } } : person,
  );
  const listed = { connectionId, v: 1 as const };
  const more = [
    { ...listed, id: ids.blacklist(1, 0), kind: "blacklist" as const, entries: sealedText<string[]>("entries") },
    {
      ...listed,
      id: ids.productGroups(1),
      kind: "product-groups" as const,
      groups: sealedText<ProductGroup[]>("groups"),
    },
    {
      ...listed,
      id: ids.security,
      kind: "security" as const,
      workspaceId: "acme",
      grants: sealedText<Grant[]>("grants"),
      changedAt: "2026-01-01T00:00:00.000Z",
    },
    {
      ...listed,
      id: ids.marker("p01"),
      kind: "marker" as const,
      marker: "enabled" as const,
      changedAt: "2026-01-01T00:00:00.000Z",
    },
  ];
  const writes = creates(
    ...linked,
    ...more,
    row,
    group,
    shardDoc(connectionId, "g1", "", ["p00"]),
    runDoc(connectionId, "r1"),
  );
  // Laid down without a record, as nothing that ships can.
  const result = await commit(stage.needs, await headIn(stage, connectionId), { writes, ends: true });
  if (result.outcome !== "committed") throw new Error(result.outcome);
};
