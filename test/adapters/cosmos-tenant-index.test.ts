import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, expect, test } from "vitest";
import { handshakeStore } from "../../src/adapters/cosmos/handshake-store.ts";
import { tenantIndex } from "../../src/adapters/cosmos/tenant-index.ts";
import { newId, openTestDatabase, type TestDatabase } from "./cosmos-fixture.ts";

let database: TestDatabase;
beforeAll(async () => {
  database = await openTestDatabase();
});
afterAll(() => database.close());

test("the index of a tenant loses nothing when several write at once, and keeps tenants apart", async () => {
  const index = tenantIndex(database.cosmos.shared);
  const [tid, other] = [randomUUID(), randomUUID()];
  const connections = [newId(), newId(), newId()];
  await Promise.all(connections.map((id) => index.add(tid, id)));
  expect((await index.connectionsOf(tid)).toSorted()).toEqual(connections);
  expect(await index.connectionsOf(other)).toEqual([]);
  await index.add(tid, connections[0] ?? "");
  await index.remove(tid, connections[1] ?? "");
  await index.remove(other, connections[1] ?? "");
  expect((await index.connectionsOf(tid)).toSorted()).toEqual([connections[0], connections[2]]);
});

test("of many who claim the same, one gets it", async () => {
  const handshakes = handshakeStore(database.cosmos.handshakes);
  const id = newId();
  const claims = await Promise.all([1, 2, 3, 4].map(() => handshakes.claim(id, 60)));
  expect(claims.filter(Boolean)).toHaveLength(1);
  expect(await handshakes.claim(newId(), 60)).toBe(true);
});
