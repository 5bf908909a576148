import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Built, build } from "../scripts/build.ts";
import { startChild } from "../src/local/child.ts";
import type { Registered } from "./local/fixtures/load.ts";

const root = resolve(import.meta.dirname, "..");
const fixtures = join(root, "test/local/fixtures");
const functionsDirectory = join(root, "src/functions");
const shippedEntry = join(functionsDirectory, "index.ts");
const scratch = mkdtempSync(join(tmpdir(), "bundle-"));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

/** What is inside that must not ship. Our own sources are held to more: a package may know the word "localhost". */
const contamination = ({ file, metafile }: Built): string[] => {
  const ours = Object.keys(metafile.inputs).filter((path) => !path.includes("node_modules/"));
  const ourText = ours.map((path) => readFileSync(join(root, path), "utf8")).join("\n");
  const bundle = readFileSync(file, "utf8");
  const pem = /-----BEGIN [A-Z ]+-----(?:\\n|\r?\n)[A-Za-z0-9+/=]{32}/;
  const findings: [string, boolean][] = [
    ["src/local", ours.some((path) => path.startsWith("src/local/"))],
    ["Cosmos emulator key", bundle.includes("C2y6yDjf5/R+ob0N8A7")],
    // The storage SDK itself brings this one, for "UseDevelopmentStorage=true".
    ["storage emulator key", ourText.includes("Eby8vdM02xNOcqFlqUw")],
    ["certificate or key", pem.test(bundle)],
    ["address of this machine", /https?:\/\/(localhost|127\.0\.0\.1|\[::1\])/.test(ourText)],
  ];
  return findings.flatMap(([what, found]) => (found ? [what] : []));
};

const registeredBy = async (entry: string): Promise<Registered[]> => {
  const env = { TRACE: join(scratch, "trace") };
  const child = await startChild<{ entry: string }, Registered[]>(join(fixtures, "load.ts"), { entry }, { env });
  await child.stop();
  return child.ready;
};

test("finds everything that must not ship", async () => {
  const built = await build(join(fixtures, "refused/contaminated.ts"), join(scratch, "contaminated"));
  expect(contamination(built)).toEqual([
    "src/local",
    "Cosmos emulator key",
    "certificate or key",
    "address of this machine",
  ]);
});

describe("a bundle", () => {
  let built: Built;
  const entry = join(fixtures, "app/functions.ts");
  beforeAll(async () => {
    built = await build(entry, join(scratch, "fixture"));
  });

  test("registers in the host what its sources register", async () => {
    const registered = await registeredBy(built.file);
    expect(registered).toEqual(await registeredBy(entry));
    expect(registered).toContainEqual({ name: "jobs", type: "queue" });
  });

  test("is the same bytes each time and comes with the licences of what is inside", async () => {
    const again = await build(entry, join(scratch, "again"));
    for (const name of ["functions.mjs", "THIRD-PARTY-LICENSES.txt"]) {
      expect(readFileSync(join(scratch, "again", name), "utf8")).toBe(
        readFileSync(join(scratch, "fixture", name), "utf8"),
      );
    }
    expect(again.bytes).toBe(built.bytes);
    expect(readFileSync(join(scratch, "again/THIRD-PARTY-LICENSES.txt"), "utf8")).toMatch(
      /^@azure\/functions \d.*\(MIT\)$/m,
    );
  });
});

describe("the shipped bundle", () => {
  let built: Built;
  beforeAll(async () => {
    built = await build(shippedEntry, join(scratch, "shipped"));
  });

  test("contains nothing of the local stack", () => {
    expect(contamination(built)).toEqual([]);
  });

  test("registers exactly the functions which the listing of src/functions shows", async () => {
    const files = readdirSync(functionsDirectory).filter((name) => /\.(http|timer|queue)\.ts$/.test(name));
    const registered = await registeredBy(built.file);
    // A file may register several routes: `people.http.ts` has "people" and "people-search".
    const belongs = (file: string, { name, type }: Registered): boolean => {
      const stem = file.replace(/\.\w+\.ts$/, "");
      return file.endsWith(`.${type}.ts`) && (name === stem || name.startsWith(`${stem}-`));
    };
    expect(files.filter((file) => !registered.some((one) => belongs(file, one)))).toEqual([]);
    expect(registered.filter((one) => !files.some((file) => belongs(file, one)))).toEqual([]);
  });
});
