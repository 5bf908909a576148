/** The documents against the code: what they name exists, and their tables are the code's. */
import { existsSync, globSync, readFileSync } from "node:fs";
import { dirname, join, normalize, relative, resolve } from "node:path";
import { describe, expect, test } from "vitest";
import containers from "../infra/containers.json" with { type: "json" };
import manifest from "../package.json" with { type: "json" };
import { reservedSettings } from "../src/config.ts";
import { tiers } from "../src/core/connections/tiers.ts";
import { permissionTexts } from "../src/core/consent/permission-texts.ts";
import { attributeCatalogue, groupAttributes } from "../src/core/directory/attributes.ts";
import { AppError, type ProblemCode, problems } from "../src/core/errors.ts";
import { isRetryable, statuses } from "../src/functions/edge/problem.ts";
import type { Route } from "../src/functions/route.ts";
import { routes } from "../src/functions/routes.ts";

const root = resolve(import.meta.dirname, "..");
const read = (path: string): string => readFileSync(join(root, path), "utf8");
const documents = ["README.md", "CHANGELOG.md", ...globSync("docs/**/*.md", { cwd: root })].toSorted();

/** The text between a heading and the next one of its level. */
const section = (document: string, heading: string): string => {
  const text = read(document).split(`\n## ${heading}\n`)[1];
  if (text === undefined) throw new Error(`${document} has no section ${heading}`);
  return text.split("\n## ")[0] ?? "";
};

/** Cells of the rows of all tables, without heads. */
const rows = (text: string): string[][] =>
  text
    .split("\n")
    .filter((line, index, lines) => line.startsWith("|") && !isHead(line, lines[index + 1]))
    .map((line) => line.slice(1, -1).split("|"))
    .map((cells) => cells.map((cell) => cell.trim()));

const isRule = (line: string | undefined): boolean => line !== undefined && /^\|( ?-+ ?\|)+$/.test(line);
const isHead = (line: string, next: string | undefined): boolean => isRule(line) || isRule(next);

const quoted = (text: string): string[] => [...text.matchAll(/`([^`\n]+)`/g)].map(([, inside = ""]) => inside);

test("every file that a document names exists", () => {
  const places =
    /(?:^|[\s`(])((?:src|test|docs|infra|scripts|\.ci)\/[\w./-]*\w|\.funcignore|host\.json|[\w.]+\.example\.json)/gm;
  let count = 0;
  const missing = documents.flatMap((document) => {
    const text = read(document);
    const named = [...text.matchAll(places)].map(([, path = ""]) => path);
    const linked = [...text.matchAll(/\]\((?!https?:|#)([^)]+)\)/g)].map(([, path = ""]) =>
      join(dirname(document), path),
    );
    count += named.length + linked.length;
    return [...named, ...linked].filter((path) => !existsSync(join(root, path))).map((path) => `${document}: ${path}`);
  });
  expect(missing).toEqual([]);
  expect(count).toBeGreaterThan(150);
});

test("every npm script that a document names exists", () => {
  const named = documents.flatMap((document) =>
    [...read(document).matchAll(/npm run ([\w:-]+)/g)].map(([, name = ""]) => name),
  );
  expect(named.length).toBeGreaterThan(0);
  expect(named.filter((name) => !Object.hasOwn(manifest.scripts, name))).toEqual([]);
});

test("docs/errors.md is the catalogue", () => {
  const shown = rows(read("docs/errors.md")).filter((cells) => cells.length === 5);
  const expected = (Object.keys(problems) as ProblemCode[]).map((code) => {
    const { kind, title } = problems[code];
    const error = new AppError(code);
    return [`\`${code}\``, String(statuses[kind]), title, error.advice ?? "", isRetryable(error) ? "yes" : "no"];
  });
  expect(shown).toEqual(expected);
});

describe("the README", () => {
  test("names exactly the settings that src/config.ts reads", () => {
    const inText = read("src/config.ts").matchAll(
      /(?<![\w}])(?:[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+|CLOUD|AzureWebJobsStorage\w*)\b/g,
    );
    const suffixes = ["_CLIENT_ID", "_CLIENT_CERTIFICATE_PATH", "_FEDERATED_CLIENT_ID", "_CLIENT_SECRET"];
    const ofTiers = tiers.flatMap((tier) => suffixes.map((suffix) => `ENTRA_${tier.toUpperCase()}${suffix}`));
    const known = new Set([...inText].map(([name]) => name).concat(ofTiers, reservedSettings));
    // The prefix of a tier's settings, not a setting.
    known.delete("ENTRA_READ");
    const setting = /^([A-Z][A-Z0-9]*(_[A-Z0-9]+)+|CLOUD|AzureWebJobsStorage\w*)$/;
    const named = new Set(quoted(section("README.md", "Settings")).filter((text) => setting.test(text)));
    expect([...named].toSorted()).toEqual([...known].toSorted());
  });

  test("lists every route with its right", () => {
    const shown = rows(section("README.md", "Triggers")).flatMap(([route = "", right = ""]) => {
      const [, method, path] = /^`([A-Z]+) (\/api\/\S*|\{c\}\S*)`$/.exec(route) ?? [];
      return path === undefined
        ? []
        : [`${method} ${path.replace("{c}", "/api/v1/connections/{connection}")} ${right.replaceAll("`", "")}`];
    });
    const expected = Object.values<Route>(routes).map(
      ({ method, path, permission }) => `${method} /${path} ${permission ?? "none"}`,
    );
    expect(shown).toEqual(expected);
  });

  test("lists every trigger file", () => {
    const files = globSync("src/functions/*.{queue,timer}.ts", { cwd: root });
    const named = quoted(section("README.md", "Triggers"));
    expect(files.length).toBeGreaterThanOrEqual(4);
    expect(files.filter((file) => !named.includes(file))).toEqual([]);
  });

  test("gives a reason for every permission of every tier, and names no other", () => {
    const shown = rows(section("README.md", "Permissions in Microsoft 365")).map(
      ([tier = "", names = "", reason = ""]) => ({
        tier,
        names: quoted(names),
        reason,
      }),
    );
    for (const tier of tiers) {
      const expected = permissionTexts(tier).map(({ value }) => value);
      expect(shown.filter((row) => row.tier === tier).flatMap(({ names }) => names)).toEqual(expected);
    }
    expect(shown.filter(({ tier, reason }) => reason === "" || !tiers.some((known) => known === tier))).toEqual([]);
  });

  test("lists every decision", () => {
    const linked = [...read("README.md").matchAll(/\]\((docs\/decisions\/[^)]+)\)/g)].map(([, path = ""]) => path);
    expect(linked).toEqual(globSync("docs/decisions/*.md", { cwd: root }).toSorted());
  });
});

test("decisions are numbered without gaps and have the same four parts", () => {
  for (const [index, path] of globSync("docs/decisions/*.md", { cwd: root }).toSorted().entries()) {
    const text = read(path);
    expect(path).toMatch(new RegExp(`/${String(index + 1).padStart(4, "0")}-`));
    expect(text).toMatch(new RegExp(`^# ${index + 1}\\. `));
    expect([...text.matchAll(/^(?:## (\w+)|(Status): .+)$/gm)].map(([, part, status]) => part ?? status)).toEqual([
      "Status",
      "Context",
      "Decision",
      "Consequences",
    ]);
  }
});

describe("docs/storage.md", () => {
  const text = read("docs/storage.md");

  test("names every container and every field of every document", () => {
    const named = new Set(quoted(text).flatMap((inside) => inside.split(/[.:]/)));
    const source = read("src/core/store/documents.ts");
    const interfaces = [...source.matchAll(/^(?:export )?interface (?:Base|Head|\w+Doc)\b[^{]*\{\n(.*?)^\}/gms)];
    const fields = interfaces.flatMap(([, body = ""]) =>
      [...body.matchAll(/^ {2}(\w+)\??:/gm)].map(([, field = ""]) => field),
    );
    expect(interfaces.length).toBeGreaterThanOrEqual(11);
    const wanted = [...containers.containers.map(({ id }) => id), ...fields];
    expect([...new Set(wanted)].filter((name) => !named.has(name))).toEqual([]);
  });

  test("counts the attributes", () => {
    const counts = { person: Object.keys(attributeCatalogue).length, group: Object.keys(groupAttributes).length };
    expect(text).toContain(`Attributes are the ${counts.person} of`);
    expect(text).toContain(`the ${counts.group} attributes of \`groupAttributes\``);
  });
});

describe("docs/architecture.md", () => {
  test("names a file and a test for everything that always holds", () => {
    const lines = section("docs/architecture.md", "What always holds")
      .split("\n")
      .filter((line) => /^\d+\. /.test(line));
    expect(lines.length).toBeGreaterThanOrEqual(20);
    expect(lines.filter((line) => !line.includes("`test/"))).toEqual([]);
  });

  test("is right that imports go one way", () => {
    const allowed: Record<string, RegExp> = {
      core: /^(src\/core\/.*|zod|node:(crypto|zlib))$/,
      adapters: /^(src\/(core|adapters)\/.*|[@a-z][^.]*|ipaddr\.js)$/,
      functions: /^(src\/(core|functions)\/.*|src\/(config|composition)\.ts|[@a-z][\w@/:.-]*)$/,
    };
    const found = globSync("src/{core,adapters,functions}/**/*.ts", { cwd: root }).flatMap((file) => {
      const area = file.split("/")[1] ?? "";
      const imports = [...read(file).matchAll(/(?:from|import) "([^"]+)"/g)].map(([, specifier = ""]) =>
        specifier.startsWith(".") ? normalize(relative(root, resolve(root, dirname(file), specifier))) : specifier,
      );
      return imports
        .filter((path) => path.startsWith("src/local") || !allowed[area]?.test(path))
        .map((path) => `${file}: ${path}`);
    });
    expect(found).toEqual([]);
  });

  test("is right that one file reads the environment", () => {
    const readers = globSync(["src/*.ts", "src/{core,adapters,functions,config,composition}/**/*.ts"], {
      cwd: root,
    }).filter((file) => read(file).includes("process.env"));
    expect(readers).toEqual(["src/config.ts"]);
  });
});
