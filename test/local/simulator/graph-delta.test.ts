import { randomBytes } from "node:crypto";
import { expect, test } from "vitest";
import { generateDirectory } from "../../../src/local/simulator/directory/generator.ts";
import { createDirectory } from "../../../src/local/simulator/directory/memory-directory.ts";
import { randomChanges } from "../../../src/local/simulator/directory/random-change.ts";
import { carefulClient, differences } from "./graph-careful-client.ts";
import { graphScene, idOf, readRound, userSelect } from "./graph-scene.ts";

const seeds = process.env["LONG"] ? Array.from({ length: 60 }, (_, at) => at + 1) : [1, 2, 3, 4, 5, 6, 7, 8];

for (const seed of seeds) {
  test(`a careful client holds the directory after every round of seed ${seed}`, async () => {
    const { directory, ask } = graphScene({ seed, users: 300, groups: 60 });
    const client = carefulClient(ask);
    await client.sync();
    expect(differences(client.held, directory)).toEqual([]);
    for (let round = 1; round <= 6; round++) {
      randomChanges({ directory, seed: seed * 100 + round, count: 40 });
      await client.sync();
      expect(differences(client.held, directory)).toEqual([]);
    }
  });

  test(`what changes between two pages comes at the latest with the next round of seed ${seed}`, async () => {
    const { directory, ask } = graphScene({ seed, users: 300, groups: 60, traits: { pageSize: 40 } });
    const client = carefulClient(ask);
    let changes = 0;
    const changeSomething = (): void => {
      randomChanges({ directory, seed: seed * 1000 + changes++, count: 3 });
    };
    for (let round = 1; round <= 4; round++) {
      await client.sync(changeSomething);
      await client.sync();
      await client.sync();
      expect(differences(client.held, directory)).toEqual([]);
    }
    expect(changes).toBeGreaterThan(5);
  });
}

test("a delayed change shows up one round later and not before", async () => {
  const { directory, ask } = graphScene({ users: 60, groups: 10, traits: { replicationDelay: true, replays: 0 } });
  const initial = await readRound(ask, `/users/delta?$select=${userSelect}`);
  const [someone] = directory.users.keys();
  directory.apply({ op: "update-user", id: String(someone), set: { jobTitle: "Late news" } });
  const next = await readRound(ask, initial.deltaLink);
  const later = await readRound(ask, next.deltaLink);
  expect([next.entries, later.entries.map(idOf)]).toEqual([[], [someone]]);
});

test("links made before a restart work after it, in the middle of a round too", async () => {
  const linkKey = randomBytes(32);
  const spec = { seed: 5, users: 400, groups: 40, domain: "contoso.example" };
  const build = () => {
    const directory = createDirectory();
    directory.load(generateDirectory(spec));
    return directory;
  };
  const before = build();
  const first = graphScene({ directory: before, linkKey, traits: { pageSize: 20, emptyPages: 0 } });
  const initial = await readRound(first.ask, `/users/delta?$select=${userSelect}`);
  const mutations = randomChanges({ directory: before, seed: 9, count: 120 });
  const expected = await readRound(first.ask, initial.deltaLink);
  const firstPage = await first.ask(initial.deltaLink);

  const after = build();
  for (const mutation of mutations) after.apply(mutation);
  const second = graphScene({ directory: after, linkKey, traits: { pageSize: 20, emptyPages: 0 } });
  const rest = await readRound(second.ask, String(firstPage.body["@odata.nextLink"]));
  expect(rest.entries.map(idOf)).toEqual(expected.pages.slice(1).flat().map(idOf));
});

test("a page of a large directory does not cost the directory", async () => {
  const { directory, ask } = graphScene({ users: 5000, groups: 20, traits: { pageSize: 50 } });
  let reads = 0;
  const { users } = directory;
  const get = users.get.bind(users);
  Object.defineProperty(users, "get", {
    value: (id: string) => {
      reads++;
      return get(id);
    },
  });
  const { body } = await ask("/users/delta?$select=id");
  reads = 0;
  await ask(String(body["@odata.nextLink"]));
  expect(reads).toBeLessThan(400);
});

test("the same link gives the same page again", async () => {
  const { ask } = graphScene({ seed: 3, users: 400, groups: 20 });
  const { body } = await ask("/groups/delta");
  const link = String(body["@odata.nextLink"] ?? body["@odata.deltaLink"]);
  const [one, other] = [await ask(link), await ask(link)];
  expect(one.body["value"]).toEqual(other.body["value"]);
});
