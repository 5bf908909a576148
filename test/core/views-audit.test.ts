import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { writeAnchor } from "../../src/core/audit/anchors.ts";
import { chainNext, chainStart } from "../../src/core/audit/change-log.ts";
import { verifyExport } from "../../src/core/audit/verify-export.ts";
import type { Sealed } from "../../src/core/crypto/seal.ts";
import { eventSchemas } from "../../src/core/feed/events.ts";
import { ids, type LogDoc, type Stored } from "../../src/core/store/documents.ts";
import { AuditPage, readAudit } from "../../src/core/views/audit.ts";
import { exportAudit } from "../../src/core/views/audit-export.ts";
import { verifyAudit } from "../../src/core/views/audit-verify.ts";
import { memorySecrets } from "../support/memory-secrets.ts";
import { flipped } from "../support/tamper.ts";
import { caller, codeOf, openScene, type Scene } from "./views-stage.ts";

let scene: Scene;
const secrets = memorySecrets();
const kept = secrets.values;
/** Documents of the log, as they were recorded on three days with an anchor after each. */
let docs: Stored<LogDoc>[];
const days: number[] = [];

const auditor = caller("audit:read");
const needs = () => ({ ...scene.needs, secrets });
const anchor = () => writeAnchor(needs())();
const verify = (range: { from?: string; to?: string } = {}, limit = 2000) =>
  verifyAudit(needs())(auditor, scene.connectionId, range, { limit });
const time = (day: number, later = 0): string => new Date((days[day] ?? 0) + later).toISOString();

beforeAll(async () => {
  scene = await openScene();
  const { stage, connectionId, views, id, people } = scene;
  const link = (productUserId: string) =>
    views.linkProductUser(caller("integration:sync"), connectionId, id(people.chief), undefined, { productUserId });
  for (const day of [1, 2, 3]) {
    await link(`p-${day}`);
    await link(`q-${day}`);
    days.push(stage.ambient.now());
    await anchor();
    stage.ambient.advance(86_400_000);
  }
  docs = await stage.store.log(connectionId, 0, 1000);
});
afterAll(() => scene.stage.close());

/** With the documents of the log as the test leaves them, then with these and head as they were. */
const tampered = async (
  change: (log: Stored<LogDoc>[]) => Stored<LogDoc>[],
  check: () => Promise<void>,
): Promise<void> => {
  const { directory } = scene.stage.handles;
  const items = (id: string) => directory.item(id, scene.connectionId);
  const { _etag: _, ...head } = await scene.head();
  const after = change(docs.map((doc) => ({ ...doc })));
  for (const doc of docs) if (!after.some(({ id }) => id === doc.id)) await items(doc.id).delete();
  for (const { _etag, ...doc } of after) await directory.items.upsert(doc);
  try {
    await check();
  } finally {
    for (const { _etag, ...doc } of docs) await directory.items.upsert(doc);
    await scene.put(head);
  }
};

const last = (): Stored<LogDoc> => docs.at(-1) as Stored<LogDoc>;
const withBody = (doc: Stored<LogDoc>): Stored<LogDoc> => ({
  ...doc,
  body: doc.body.replace(/"cause":"\w+"/, '"cause":"forged"'),
});
/** From this document on as somebody would who knows how the chain is made. */
const computedAnew = (log: Stored<LogDoc>[], from: number): Stored<LogDoc>[] => {
  let prev = log[from]?.prev ?? chainStart(scene.connectionId);
  return log.map((doc, index) => {
    if (index < from) return doc;
    const made = { ...(index === from ? withBody(doc) : doc), prev };
    prev = chainNext(prev, made.first, made.last, made.body);
    return made;
  });
};

describe("verification of the stored log", () => {
  it("goes from its beginning, or from the anchor before the time asked for, to the anchor after it, or to head", async () => {
    const head = await scene.head();
    const whole = await verify();
    expect(whole).toMatchObject({
      from: { sequence: 0, trust: "beginning" },
      to: { sequence: head.sequence, chain: head.chain },
      finding: null,
      brokenAnchors: [],
      next: null,
    });
    expect(whole.checkpoints.map(({ by }) => by.split(" ")[0])).toEqual(["anchor", "anchor", "anchor", "head"]);
    const day = await verify({ from: time(0, 60_000), to: time(1, -60_000) });
    expect(day).toMatchObject({ from: { trust: "anchor" }, finding: null });
    expect([day.from.sequence, day.to.sequence]).toEqual(whole.checkpoints.slice(0, 2).map(({ sequence }) => sequence));
  });

  it("names the document that was altered, and one that was taken out", async () => {
    const victim = docs.at(-2) as Stored<LogDoc>;
    const place = { first: victim.first, last: victim.last };
    await tampered(
      (log) => log.map((doc) => (doc.id === victim.id ? withBody(doc) : doc)),
      async () => expect((await verify()).finding).toEqual({ fault: "altered", ...place }),
    );
    await tampered(
      (log) => log.filter(({ id }) => id !== victim.id),
      async () => expect((await verify()).finding).toEqual({ fault: "missing", ...place }),
    );
    expect((await verify()).finding).toBeNull();
  });

  it("tells a log that was computed anew with its head, by the vault", async () => {
    const head = await scene.head();
    const { checkpoints } = await verify();
    await tampered(
      (log) => computedAnew(log, log.length - 4),
      async () => {
        const end = (await scene.stage.store.log(scene.connectionId, last().first - 1, 1))[0] as Stored<LogDoc>;
        const { _etag, ...rest } = head;
        await scene.put({ ...rest, chain: chainNext(end.prev, end.first, end.last, end.body) });
        expect((await verify()).finding).toMatchObject({ fault: "rewritten", by: checkpoints[1]?.by });
      },
    );
  });

  it("tells an end that was taken away with head, and a beginning that was taken away as if it had expired", async () => {
    const head = await scene.head();
    const { _etag, ...before } = head;
    await tampered(
      (log) => log.slice(0, -2),
      async () => {
        const end = docs.at(-3) as Stored<LogDoc>;
        await scene.put({ ...before, sequence: end.last, chain: docs.at(-2)?.prev ?? "" });
        expect((await verify()).finding).toMatchObject({ fault: "cut", first: end.last + 1, last: head.sequence });
      },
    );
    await tampered(
      (log) => log.slice(-1),
      async () => {
        const { finding } = await verify();
        expect(finding).toMatchObject({ fault: "missing", last: last().first - 1 });
      },
    );
  });

  it("says which anchors are not ours", async () => {
    const name = [...kept.keys()].find((one) => one.endsWith("-0")) ?? "";
    const value = kept.get(name) ?? "";
    kept.set(name, "eyJ9.eyJ9.AAAA");
    expect((await verify()).brokenAnchors).toEqual([name.slice("anchor-".length, -2)]);
    kept.set(name, value);
  });
});

describe("a log that somebody has altered", () => {
  type Stretch = Record<string, unknown> & { changes?: Sealed<unknown>; actor?: Sealed<unknown> };
  const withEntry = (doc: Stored<LogDoc>, change: (entry: Stretch) => unknown): Stored<LogDoc> => ({
    ...doc,
    body: JSON.stringify([change(JSON.parse(doc.body)[0] as Stretch)]),
  });
  const page = { limit: 1000 };
  const cases: [string, (doc: Stored<LogDoc>) => Stored<LogDoc>, object][] = [
    [
      "what was changed",
      (doc) => withEntry(doc, (entry) => ({ ...entry, changes: flipped(entry.changes ?? ("" as Sealed<unknown>)) })),
      { kind: "product-user", changes: [], actor: { subject: "ada" } },
    ],
    [
      "who it was",
      (doc) => withEntry(doc, (entry) => ({ ...entry, actor: flipped(entry.actor ?? ("" as Sealed<unknown>)) })),
      { kind: "product-user", changes: [{ field: "productUserId" }], actor: null },
    ],
    [
      "what kind it is",
      (doc) => withEntry(doc, (entry) => ({ ...entry, kind: "forged" })),
      { kind: "entry", op: "unreadable", object: "", changes: [], actor: null },
    ],
    ["what an entry may have", (doc) => withEntry(doc, (entry) => ({ ...entry, added: 7 })), { kind: "entry" }],
    ["an entry to something else", (doc) => withEntry(doc, () => "no entry"), { kind: "entry" }],
    ["the text to no list", (doc) => ({ ...doc, body: "{" }), { kind: "entry" }],
  ];

  it.each(cases)("in %s is shown as far as it can be read, by every route, and verified", async (_, change, shown) => {
    const victim = docs.at(-2) as Stored<LogDoc>;
    const whole = (await readAudit(needs())(auditor, scene.connectionId, {}, page)).items;
    await tampered(
      (log) => log.map((doc) => (doc.id === victim.id ? change(doc) : doc)),
      async () => {
        const { items } = await readAudit(needs())(auditor, scene.connectionId, {}, page);
        expect(AuditPage.shape.items.parse(items)).toEqual(items);
        const at = items.findIndex(({ sequence }) => sequence === victim.first);
        expect(items[at]).toMatchObject({ content: "unreadable", ...shown });
        expect(items.toSpliced(at, 1)).toEqual(whole.toSpliced(at, 1));
        const feed = await scene.views.readChanges(auditor, scene.connectionId, {
          after: 0,
          limit: 200,
          waitSeconds: 0,
        });
        expect(feed.items.map(({ sequence }) => sequence)).toEqual(items.map(({ sequence }) => sequence).toReversed());
        for (const event of feed.items) expect(eventSchemas.get(event.type)?.safeParse(event).success).toBe(true);
        const { text } = await exportAudit(needs())(auditor, scene.connectionId, { format: "csv" }, page);
        expect(text).toContain(`"unreadable"`);
        expect((await verify()).finding).toMatchObject({ first: victim.first, last: victim.last });
        const file = await exportAudit(needs())(auditor, scene.connectionId, { format: "jsonl" }, page);
        const { keys } = await verify();
        const inFile = await verifyExport(file.text.trimEnd().split("\n"), { keys, witnesses: [] });
        expect(inFile.finding).toMatchObject({ last: expect.any(Number) });
        expect(inFile.finding?.first).toBeLessThanOrEqual(victim.first);
      },
    );
  });

  it("in the wrapped key of a person shows the person's entries as altered, and not as erased", async () => {
    const doc = await scene.stage.store.read(scene.connectionId, "person", ids.person(scene.id(scene.people.chief)));
    if (!doc?.key) throw new Error("nobody");
    const { _etag, ...before } = doc;
    await scene.put({ ...before, key: { ...doc.key, wrapped: flipped(doc.key.wrapped) } });
    const filter = { person: scene.id(scene.people.chief) };
    const { items } = await readAudit(needs())(auditor, scene.connectionId, filter, page);
    expect(new Set(items.map(({ content }) => content))).toEqual(new Set(["unreadable"]));
    await scene.put(before);
  });
});

describe("an exported log", () => {
  const exported = async (): Promise<string[]> => {
    const lines: string[] = [];
    for (let after: string | undefined; ; ) {
      const page = { limit: 3, ...(after === undefined ? {} : { after }) };
      const part = await exportAudit(needs())(auditor, scene.connectionId, { format: "jsonl" }, page);
      lines.push(...part.text.trimEnd().split("\n"));
      if (part.next === null) return lines;
      after = part.next;
    }
  };
  const check = async (lines: string[]) => verifyExport(lines, { keys: (await verify()).keys, witnesses: [] });
  const altered = (lines: string[], record: string, change: (line: string) => string | null): string[] => {
    const at = lines.findLastIndex((line) => line.startsWith(`{"record":"${record}"`));
    return lines.flatMap((line, index) => (index === at ? (change(line) ?? []) : line));
  };

  it("verifies without the store, against the vault's anchors and against a witness", async () => {
    const lines = await exported();
    const head = await scene.head();
    const found = await check(lines);
    expect(found).toMatchObject({
      from: { trust: "beginning" },
      to: { sequence: head.sequence },
      unverified: 0,
      finding: null,
    });
    expect(found.checkpoints).toHaveLength(3);
    const witnesses = [{ sequence: head.sequence, chain: head.chain }];
    expect(await verifyExport(lines, { keys: [], witnesses })).toMatchObject({ unverified: 3, finding: null });
    const wrong = [{ sequence: head.sequence, chain: "00".repeat(32) }];
    expect((await verifyExport(lines, { keys: [], witnesses: wrong })).finding).toMatchObject({
      fault: "rewritten",
      by: "witness",
    });
  });

  it("of a time begins at an anchor, or at its own word", async () => {
    const page = { limit: 1000 };
    const part = await exportAudit(needs())(
      auditor,
      scene.connectionId,
      { format: "jsonl", from: time(0, 60_000) },
      page,
    );
    const lines = part.text.trimEnd().split("\n");
    expect(await check(lines)).toMatchObject({ from: { trust: "anchor" }, finding: null });
    expect((await verifyExport(lines, { keys: [], witnesses: [] })).from.trust).toBe("file");
  });

  it.each<[string, string, (line: string) => string | null, string]>([
    [
      "an entry that tells something else",
      "entry",
      (line) => line.replace('"cause":"api"', '"cause":"run"'),
      "altered",
    ],
    ["an entry that is left out", "entry", () => null, "missing"],
    ["a document that is left out", "log", () => null, "malformed"],
    [
      "a document that was changed",
      "log",
      (line) => line.replace('\\"cause\\":\\"api\\"', '\\"cause\\":\\"run\\"'),
      "rewritten",
    ],
    ["an end that is missing", "end", () => null, "cut"],
  ])("shows %s", async (_, record, change, fault) => {
    const { finding } = await check(altered(await exported(), record, change));
    expect(finding?.fault).toBe(fault);
    expect(finding?.last).toBeGreaterThanOrEqual(last().first);
  });

  it("of something else is refused", async () => {
    await expect(verifyExport(["sequence,at"], { keys: [], witnesses: [] })).rejects.toThrow("Line 1");
    await expect(verifyExport(['{"record":"end","sequence":0}'], { keys: [], witnesses: [] })).rejects.toThrow("start");
  });
});

it("nothing of a connection that is being deleted is shown", async () => {
  const doc = await scene.stage.store.read(scene.connectionId, "connection", "connection");
  if (!doc) throw new Error("no connection");
  const { _etag, ...before } = doc;
  await scene.put({ ...before, state: "closing", closesAt: time(0) });
  const page = { limit: 10 };
  expect(await codeOf(readAudit(needs())(auditor, scene.connectionId, {}, page))).toBe("state-conflict");
  expect(await codeOf(exportAudit(needs())(auditor, scene.connectionId, { format: "csv" }, page))).toBe(
    "state-conflict",
  );
  expect(await codeOf(verify())).toBe("state-conflict");
  await scene.put(before);
});
