/** The record of processing against the code, the documents that are written and the database's definition. */
import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { describe, expect, test } from "vitest";
import containers from "../../../infra/containers.json" with { type: "json" };
import { withRecord } from "../../../scripts/privacy-record.ts";
import { defaultSettings } from "../../../src/core/connections/settings.ts";
import { permissions } from "../../../src/core/context.ts";
import { attributeCatalogue, decisive } from "../../../src/core/directory/attributes.ts";
import { PrivacyRecord, readPrivacyRecord, recordItems } from "../../../src/core/privacy/record.ts";
import { entryFields, placesOf, saysSomething, storedPlaces } from "../../../src/core/privacy/record-places.ts";
import { type RowId, recordRows } from "../../../src/core/privacy/record-rows.ts";
import { caller, edit, openStage } from "../connections-stage.ts";

const root = resolve(import.meta.dirname, "../../..");
const read = (path: string): string => readFileSync(join(root, path), "utf8");

describe("docs/privacy.md", () => {
  test("has the record that the code has; scripts/privacy-record.ts writes it", () => {
    const text = read("docs/privacy.md");
    expect(withRecord(text)).toBe(text);
  });
});

describe("the record", () => {
  const rows = Object.keys(recordRows) as RowId[];

  test("says of every row where it lies, and of everybody who sees it by which right", () => {
    for (const row of rows) {
      expect(placesOf(row), row).not.toEqual([]);
      const rights = [...recordRows[row].readers.matchAll(/`([^`]+)`/g)].map(([, right]) => right);
      expect(rights.filter((right) => !permissions.some((known) => known === right))).toEqual([]);
    }
  });

  test("knows every container, and no other", () => {
    const known = new Set(Object.keys(storedPlaces).map((name) => name.split(" ")[0]));
    expect([...known].toSorted()).toEqual(containers.containers.map(({ id }) => id).toSorted());
  });

  test("and docs/storage.md name the same fields", () => {
    const text = read("docs/storage.md");
    const named = new Set([...text.matchAll(/`([^`\n]+)`/g)].flatMap(([, inside = ""]) => inside.split(/[.:]/)));
    const fields = Object.entries({ ...storedPlaces, entry: { fields: entryFields } })
      .filter(([name]) => name.startsWith("directory ") || name === "entry")
      .flatMap(([, place]) => Object.entries(place.fields))
      .filter(([field, says]) => field !== "id" && saysSomething(says))
      .map(([field]) => field);
    expect(fields.length).toBeGreaterThan(25);
    expect([...new Set(fields)].filter((field) => !named.has(field))).toEqual([]);
  });

  test("gives the time that the logs are kept as it is set", () => {
    const kept = (days: number) =>
      recordItems(days)
        .map((item) => item.kept)
        .join();
    expect(kept(90)).toContain("90 days");
    expect(kept(90)).not.toContain("400 days");
    expect(kept(400)).not.toContain("{");
  });
});

test("of a connection names the attributes that its settings ask for, and those that decide", async () => {
  const stage = await openStage();
  try {
    const { id } = await stage.draft();
    const attributes = {
      title: { from: "jobTitle" as const, clear: false },
      mail: { from: "mail" as const, clear: true },
    };
    await edit(stage, id, (doc) => ({ ...doc, settings: { ...defaultSettings, attributes } }));
    const needs = { ...stage.needs, ambient: { logDays: 120 } };
    const found = PrivacyRecord.parse(await readPrivacyRecord(needs)(caller(), id));
    expect(found.attributes.map(({ name }) => name)).toEqual(
      Object.keys(attributeCatalogue).filter((name) => name === "jobTitle" || decisive.some((one) => one === name)),
    );
    expect(found.attributes.find(({ name }) => name === "jobTitle")).toMatchObject({
      fields: ["title"],
      decides: false,
    });
    expect(found).toMatchObject({ logDays: 120, backupDays: 7, leaving: defaultSettings.leaving });
    await expect(readPrivacyRecord(needs)(caller("other"), id)).rejects.toThrow("connection-not-found");
  } finally {
    await stage.close();
  }
});
