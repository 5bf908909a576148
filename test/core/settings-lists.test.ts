/** What belongs to the settings beside their fields: the e-mail blacklist, the product's groups, and earlier versions. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import { usualLogSeconds } from "../../src/core/audit/retention.ts";
import { maxEntries, openBlacklist } from "../../src/core/connections/blacklist.ts";
import { openSettingsBy } from "../../src/core/connections/change-settings.ts";
import { defaultSettings, type Settings } from "../../src/core/connections/settings.ts";
import type { Caller, Permission } from "../../src/core/context.ts";
import { AppError, type ErrorDetails } from "../../src/core/errors.ts";
import { commit } from "../../src/core/store/commit.ts";
import { readChanges } from "../../src/core/views/changes.ts";
import { caller, codeOf, connected, edit, openStage, type Stage } from "./connections-stage.ts";

let stage: Stage;
beforeAll(async () => {
  stage = await openStage();
});
afterAll(() => stage.close());

const Named = z.object({ count: z.int(), names: z.array(z.string()) });
let names = 0;
const made = async (): Promise<string> => (await stage.draft(caller(), `Lists ${(names += 1)}`)).id;
const withRights = (...rights: Permission[]): Caller => ({ ...caller(), permissions: new Set(rights) });
const connectionOf = async (id: string) => {
  const doc = await stage.store.read(id, "connection", "connection");
  if (!doc) throw new Error("there is no such connection");
  return doc;
};
const replaced = (id: string, version: number, entries: string[]) =>
  stage.cases.replaceBlacklist(caller(), id, `"${version}"`, { entries });
const upload = (id: string, text: string, mode: "replace" | "append" = "replace", ifMatch?: string) =>
  stage.cases.uploadBlacklist(caller(), id, ifMatch, { mode, text });
const listed = async (id: string): Promise<string[]> =>
  (await stage.cases.readBlacklist(caller(), id, { limit: 200 })).items;
const refusal = async (call: Promise<unknown>): Promise<ErrorDetails> => {
  const error = await call.then(
    () => null,
    (thrown: unknown) => thrown,
  );
  if (error instanceof AppError) return error.details;
  throw new Error("it was not refused");
};
const dump = async (): Promise<string> => {
  const headers = { "x-control-key": stage.server.key };
  return await (await fetch(`${stage.server.endpoint}/_control/dump`, { headers })).text();
};
const facts = (mail: string) => ({
  mail,
  userPrincipalName: null,
  otherMails: null,
  proxyAddresses: null,
  accountEnabled: true,
  userType: "Member",
});

describe("the e-mail blacklist", () => {
  test("is a version of its own with each change, makes a run that began before void, and names who it was", async () => {
    const { id } = await connected(stage, caller(), `Lists ${(names += 1)}`);
    const now = stage.ambient.now();
    const claimed = await stage.store.claim(id, { owner: "worker", now, leaseUntil: now + 60_000 });
    if (!claimed) throw new Error("the lease was not free");
    expect(await replaced(id, 1, ["b@x.example", "*@y.example"])).toEqual({ version: 1, entries: 2, etag: '"2"' });
    const late = await commit(stage.needs, claimed, { worker: { owner: "worker", epoch: claimed.epoch } });
    expect(late.outcome).toBe("superseded");
    expect(await replaced(id, 2, ["b@x.example"])).toEqual({ version: 2, entries: 1, etag: '"3"' });
    const doc = await connectionOf(id);
    const ring = await stage.needs.keys.ring(id);
    expect(doc).toMatchObject({ settingsVersion: 3, settings: defaultSettings });
    expect(openSettingsBy(ring, doc)).toBe("alice");
    const blacklist = await openBlacklist(stage.needs)(doc, ring);
    expect(blacklist.entryFor(facts("B@X.example"))).toBe("b@x.example");
    expect(blacklist.entryFor(facts("anybody@y.example"))).toBeNull();
  });

  test("needs the ETag that was read, and changes nothing by saying the same", async () => {
    const id = await made();
    const entries = ["a@x.example"];
    expect(await codeOf(stage.cases.replaceBlacklist(caller(), id, undefined, { entries }))).toBe("etag-required");
    await replaced(id, 1, entries);
    expect(await codeOf(replaced(id, 1, []))).toBe("etag-mismatch");
    expect(await codeOf(upload(id, "b@x.example", "append", '"1"'))).toBe("etag-mismatch");
    expect(await replaced(id, 2, ["a@x.example", "a@x.example"])).toMatchObject({ version: 1, etag: '"2"' });
    expect(await upload(id, "A@X.example", "append")).toMatchObject({ version: 1, etag: '"2"' });
  });

  test("is paged in order, and is not there for another workspace", async () => {
    const id = await made();
    const entries = Array.from({ length: 5 }, (_, index) => `p${index}@x.example`);
    await replaced(id, 1, entries.toReversed());
    const first = await stage.cases.readBlacklist(caller(), id, { limit: 3 });
    expect(first).toMatchObject({ items: entries.slice(0, 3), next: "p2@x.example", version: 1, entries: 5 });
    const second = await stage.cases.readBlacklist(caller(), id, { limit: 3, after: first.next ?? "" });
    expect(second).toMatchObject({ items: entries.slice(3), next: null });
    expect(await codeOf(stage.cases.readBlacklist(caller("other"), id, { limit: 3 }))).toBe("connection-not-found");
  });

  test("of as many as there may be is stored in parts and opened whole; one more is refused", async () => {
    const id = await made();
    const entries = Array.from({ length: maxEntries }, (_, index) => `n${String(index).padStart(5, "0")}@x.example`);
    expect(await upload(id, entries.join("\n"))).toMatchObject({ entries: maxEntries });
    const ring = await stage.needs.keys.ring(id);
    const doc = await connectionOf(id);
    expect(await stage.store.list(id, "blacklist", { limit: 10 })).toHaveLength(5);
    const blacklist = await openBlacklist(stage.needs)(doc, ring);
    for (const entry of [entries[0], entries[2000], entries.at(-1)])
      expect(blacklist.entryFor(facts(entry ?? ""))).toBe(entry);
    expect(await refusal(upload(id, "one.more@x.example", "append"))).toMatchObject({ field: "body" });
    const long = Array.from(
      { length: 6000 },
      (_, index) => `${index}@${"a".repeat(60)}.${"b".repeat(60)}.${"c".repeat(60)}`,
    );
    expect(await refusal(replaced(id, 2, long))).toMatchObject({ field: "entries" });
    // A list without one of its parts would admit people who are listed.
    const lost = { ...doc, blacklist: { version: 7, entries: 1 } };
    await expect(openBlacklist(stage.needs)(lost, ring)).rejects.toThrow("store-unavailable");
  });

  test("of as many bytes as there may be fits into one transaction with its record, also in place of another", async () => {
    const id = await made();
    const full = (letter: string) =>
      Array.from(
        { length: 4950 },
        (_, index) => `${index}@${letter.repeat(60)}.${"b".repeat(60)}.${"c".repeat(60)}.example`,
      );
    expect(await replaced(id, 1, full("a"))).toMatchObject({ entries: 4950 });
    expect(await replaced(id, 2, full("b"))).toMatchObject({ entries: 4950 });
    const [counts, added] = (await stage.log(id)).at(-1)?.changes ?? [];
    expect(counts).toMatchObject({ after: { version: 2, entries: 4950 } });
    const { count, names: shown } = Named.parse(added?.after);
    expect([count, shown.length > 400 && shown.length < 600]).toEqual([4950, true]);
  });

  test("that was replaced is kept as long as the log that tells of it, and then goes by itself", async () => {
    const id = await made();
    await replaced(id, 1, ["old@x.example"]);
    await replaced(id, 2, ["new@x.example"]);
    const [old, young] = await stage.store.list(id, "blacklist", { limit: 10 });
    expect([old?.id, old?.ttl, young?.id, young?.ttl]).toEqual(["b:1:0", usualLogSeconds, "b:2:0", undefined]);
    stage.ambient.advance((usualLogSeconds + 60) * 1000);
    expect((await stage.store.list(id, "blacklist", { limit: 10 })).map((doc) => doc.id)).toEqual(["b:2:0"]);
    expect(await listed(id)).toEqual(["new@x.example"]);
    expect((await stage.store.list(id, "settings", { limit: 10 })).map((doc) => doc.settingsVersion)).toEqual([3]);
  });

  test("stands nowhere in clear, and the feed tells its addresses to nobody but those who set it up", async () => {
    const id = await made();
    await replaced(id, 1, ["canary-one@x.example", "canary-two@x.example"]);
    await replaced(id, 2, ["canary-two@x.example"]);
    expect(await dump()).not.toContain("canary-");
    const changes = readChanges({ ...stage.needs, wait: stage.needs.wait });
    const read = async (who: Caller) =>
      (await changes(who, id, { after: 1, limit: 10, waitSeconds: 0 })).items.map((item) => item.changes);
    const versions = [
      { field: "blacklist", before: { version: 0, entries: 0 }, after: { version: 1, entries: 2 } },
      { field: "blacklist", before: { version: 1, entries: 2 }, after: { version: 2, entries: 1 } },
    ];
    expect(await read(withRights("directory:read", "integration:setup"))).toEqual([
      [
        versions[0],
        {
          field: "blacklist.added",
          before: null,
          after: { count: 2, names: ["canary-one@x.example", "canary-two@x.example"] },
        },
      ],
      [versions[1], { field: "blacklist.removed", before: { count: 1, names: ["canary-one@x.example"] }, after: null }],
    ]);
    expect(await read(withRights("directory:read", "directory:read-all", "audit:read"))).toEqual([
      [versions[0], { field: "blacklist.added", before: null, after: { count: 2 } }],
      [versions[1], { field: "blacklist.removed", before: { count: 1 }, after: null }],
    ]);
  });
});

describe("an uploaded file", () => {
  test("may have a head, quotes, a byte order mark, any line ends, blank lines and repeats", async () => {
    const id = await made();
    const text = '\ufeff\r\n"E-Mail"\r\n"a@x.example"\r\n\r\n A@X.EXAMPLE \nb@bücher.example\r*@y.example\n';
    expect(await upload(id, text)).toMatchObject({ entries: 3 });
    expect(await listed(id)).toEqual(["*@y.example", "a@x.example", "b@bücher.example"]);
  });

  test("replaces the list or is added to it", async () => {
    const id = await made();
    await upload(id, "a@x.example");
    await upload(id, "email\nb@x.example", "append");
    expect(await listed(id)).toEqual(["a@x.example", "b@x.example"]);
    await upload(id, "c@x.example", "replace");
    expect(await listed(id)).toEqual(["c@x.example"]);
  });

  test("with a line that cannot be used stores nothing, and names the line without repeating it", async () => {
    const id = await made();
    const secret = "secret-line";
    const text = `good@x.example\n${secret}\n"${secret}\n${secret.repeat(100)}@x.example\nemail\nok@x.example`;
    const { lines, detail, field } = await refusal(upload(id, text));
    expect(lines?.map(({ line }) => line)).toEqual([2, 3, 4, 5]);
    expect(JSON.stringify({ lines, detail, field })).not.toContain("secret");
    expect(await connectionOf(id)).toMatchObject({ blacklist: { version: 0, entries: 0 }, settingsVersion: 1 });
  });

  test("names no more than a hundred lines", async () => {
    expect((await refusal(upload(await made(), "x\n".repeat(5000)))).lines).toHaveLength(100);
  });

  test.each([
    "a",
    "@x.example",
    "a@",
    "a@localhost",
    "a b@x.example",
    "a@x..example",
    "a@-x.example",
    "a@x_y.example",
    "*@",
    "*a@x.example",
    "*.x.example",
    "a@b@x.example",
    "<a@x.example>",
    "a@x.example,b@x.example",
    "a@x.example;",
    "a\u0000@x.example",
    `${"a".repeat(257)}@x.example`,
    `a@${"x".repeat(64)}.example`,
    "a@x.example\u202e",
  ])("takes no %j for an address", async (entry) => {
    expect((await refusal(upload(await made(), entry))).lines).toMatchObject([{ line: 1 }]);
  });

  test.each([
    "o'neil+tag@x.example",
    "ＡＤＡ@x.example",
    "李@例子.example",
    "a@xn--bcher-kva.example",
    "*@sub.x.example",
  ])("takes %j", async (entry) => {
    const id = await made();
    await upload(id, entry);
    expect(await listed(id)).toEqual([entry.normalize("NFKC").toLowerCase()]);
  });
});

describe("the groups of the product", () => {
  const offer = (id: string, items: { id: string; name: string }[], ifMatch?: string) =>
    stage.cases.changeProductGroups(caller(), id, ifMatch, { items });
  const group = "11111111-2222-4333-8444-555555555555";
  const mappedOnto = (productGroup: string): Settings => ({
    ...defaultSettings,
    groups: {
      ...defaultSettings.groups,
      mapping: [
        { group: group.replace("1", "2"), productGroup: "sales" },
        { group, productGroup },
      ],
    },
  });

  test("are offered whole, in order, sealed, and make no run void", async () => {
    const id = await made();
    const before = await stage.store.read(id, "head", "head");
    const items = [
      { id: "sales", name: "Canary sales" },
      { id: "it", name: "Canary IT" },
    ];
    expect(await offer(id, items)).toEqual({ version: 1, count: 2, etag: '"p1"' });
    expect(await offer(id, items.toReversed())).toEqual({ version: 1, count: 2, etag: '"p1"' });
    expect(await stage.cases.listProductGroups(caller(), id, { limit: 1 })).toMatchObject({
      items: [items[1]],
      next: "it",
    });
    expect(await stage.cases.listProductGroups(caller(), id, { limit: 1, after: "it" })).toMatchObject({
      items: [items[0]],
      next: null,
    });
    expect(await dump()).not.toMatch(/Canary (sales|IT)/);
    expect((await stage.store.read(id, "head", "head"))?.epoch).toBe(before?.epoch);
    expect(await codeOf(offer(id, [], '"p0"'))).toBe("etag-mismatch");
    await offer(
      id,
      [
        { id: "sales", name: "Sales" },
        { id: "hr", name: "HR" },
      ],
      '"p1"',
    );
    expect((await stage.log(id)).at(-1)?.changes).toEqual([
      { field: "productGroups", before: { version: 1, count: 2 }, after: { version: 2, count: 2 } },
      { field: "productGroups.added", before: null, after: { count: 1, names: ["hr"] } },
      { field: "productGroups.removed", before: { count: 1, names: ["it"] }, after: null },
      { field: "productGroups.renamed", before: null, after: { count: 1, names: ["sales"] } },
    ]);
  });

  test("are what groups can be mapped onto, and stay while one is", async () => {
    const id = await made();
    const unknown = { field: "groups.mapping.1.productGroup" };
    const sales = { id: "sales", name: "Sales" };
    await offer(id, [sales]);
    expect(await refusal(stage.cases.changeSettings(caller(), id, '"1"', mappedOnto("it")))).toMatchObject(unknown);
    await offer(id, [sales, { id: "it", name: "IT" }]);
    await stage.cases.changeSettings(caller(), id, '"1"', mappedOnto("it"));
    expect(await codeOf(offer(id, [sales]))).toBe("product-group-in-use");
    expect(await refusal(offer(id, [sales]))).toMatchObject(unknown);
    await stage.cases.changeSettings(caller(), id, '"2"', mappedOnto("sales"));
    expect(await codeOf(offer(id, [sales]))).toBe("none");
    // What is no longer offered does not come back with earlier settings.
    expect(await refusal(stage.cases.restoreSettings(caller(), id, '"3"', "2"))).toMatchObject(unknown);
  });
});

describe("a version of the settings", () => {
  test("is kept with each change: when, which fields, and for audit:read who", async () => {
    const id = await made();
    const narrower: Settings = {
      ...defaultSettings,
      people: { ...defaultSettings.people, kinds: { ...defaultSettings.people.kinds, guests: true } },
      attributes: { name: { from: "displayName", clear: false } },
    };
    await stage.cases.changeSettings(caller(), id, '"1"', narrower);
    await replaced(id, 2, ["a@x.example"]);
    const first = await stage.cases.listVersions(withRights("integration:read"), id, { limit: 2 });
    expect(first.items).toMatchObject([
      { version: 3, fields: ["blacklist"], blacklist: { version: 1, entries: 1 }, restoredFrom: null },
      { version: 2, blacklist: { version: 0, entries: 0 } },
    ]);
    expect(first.items[1]?.fields).toEqual(
      expect.arrayContaining(["people.kinds.guests", "attributes.name.from", "attributes.mail.from"]),
    );
    expect(JSON.stringify(first.items)).not.toContain("alice");
    const rest = await stage.cases.listVersions(withRights("integration:read", "audit:read"), id, {
      limit: 2,
      after: first.next ?? "",
    });
    expect(rest).toMatchObject({ items: [{ version: 1, fields: [], by: { subject: "alice" } }], next: null });
    expect(await stage.cases.readVersion(caller(), id, "2")).toMatchObject({ version: 2, settings: narrower });
    for (const version of ["0", "4", "01", "1e0", "", "s:1"])
      expect(await codeOf(stage.cases.readVersion(caller(), id, version))).toBe("settings-version-not-found");
    // As a word: five letters in a row come by chance in megabytes of sealed text.
    expect(/\balice\b/.test(await dump())).toBe(false);
  });

  test("comes into force again with its blacklist, as a new version", async () => {
    const id = await made();
    await replaced(id, 1, ["a@x.example"]);
    await stage.cases.changeSettings(caller(), id, '"2"', { ...defaultSettings, intervalMinutes: 60 });
    await replaced(id, 3, ["b@x.example"]);
    expect(await codeOf(stage.cases.restoreSettings(caller(), id, undefined, "2"))).toBe("etag-required");
    expect(await codeOf(stage.cases.restoreSettings(caller(), id, '"3"', "2"))).toBe("etag-mismatch");
    const back = await stage.cases.restoreSettings(caller("acme", "bob"), id, '"4"', "2");
    expect(back).toEqual({ ...defaultSettings, version: 5, etag: '"5"' });
    expect(await listed(id)).toEqual(["a@x.example"]);
    const [newest] = (await stage.cases.listVersions(withRights("audit:read"), id, { limit: 1 })).items;
    expect(newest).toMatchObject({
      version: 5,
      restoredFrom: 2,
      fields: ["intervalMinutes", "blacklist"],
      by: { subject: "bob" },
    });
    expect((await stage.log(id)).at(-1)?.changes).toContainEqual({ field: "restoredFrom", before: null, after: 2 });
    // They are in force already.
    expect((await stage.cases.restoreSettings(caller(), id, '"5"', "2")).version).toBe(5);
  });

  test("goes when others have been in force for as long as the log is kept, and not while it is in force", async () => {
    const id = await made();
    stage.ambient.advance((usualLogSeconds + 60) * 1000);
    await stage.cases.changeSettings(caller(), id, '"1"', { ...defaultSettings, intervalMinutes: 60 });
    const versions = async () =>
      (await stage.cases.listVersions(caller(), id, { limit: 10 })).items.map(({ version }) => version);
    expect(await versions()).toEqual([2, 1]);
    stage.ambient.advance((usualLogSeconds + 60) * 1000);
    expect(await versions()).toEqual([2]);
  });

  test("of a connection from before versions were kept begins with the next change", async () => {
    const id = await made();
    await stage.cosmos.directory.item("s:0000000001", id).delete();
    await stage.cases.changeSettings(caller(), id, '"1"', { ...defaultSettings, intervalMinutes: 60 });
    expect((await stage.cases.listVersions(caller(), id, { limit: 10 })).items).toMatchObject([{ version: 2 }]);
  });

  test("cannot be made while the connection is being deleted", async () => {
    const id = await made();
    await edit(stage, id, (doc) => ({ ...doc, state: "closing" }));
    expect(await codeOf(replaced(id, 1, ["a@x.example"]))).toBe("state-conflict");
    expect(await codeOf(upload(id, "a@x.example"))).toBe("state-conflict");
    expect(await codeOf(stage.cases.changeProductGroups(caller(), id, undefined, { items: [] }))).toBe(
      "state-conflict",
    );
  });
});
