/**
 * Builds what is deployed: one ES module with all dependencies inside, for a fast cold start. Beside it: its source map, the licences of
 * the packages inside (`THIRD-PARTY-LICENSES.txt`), esbuild's account of what went in (`meta.json`), and the scripts that browsers
 * get as they are (`setup/`).
 * Same sources, same bytes.
 */
import { cpSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { build as esbuild, type Metafile } from "esbuild";

export interface Built {
  /** The bundle. */
  file: string;
  bytes: number;
  metafile: Metafile;
}

const root = resolve(dirname(fileURLToPath(import.meta.url)), "..");

export const build = async (
  entry = join(root, "src/functions/index.ts"),
  outputDirectory = join(root, "dist"),
): Promise<Built> => {
  const file = join(outputDirectory, "functions.mjs");
  const { metafile } = await esbuild({
    absWorkingDir: root,
    entryPoints: [entry],
    outfile: file,
    bundle: true,
    platform: "node",
    format: "esm",
    target: "node22",
    // Exists only inside a function host.
    external: ["@azure/functions-core"],
    // Dependencies written as CommonJS call `require`, which an ES module does not have. Without it registration fails silently.
    banner: {
      js: 'import { createRequire as createBundleRequire } from "node:module"; const require = createBundleRequire(import.meta.url);',
    },
    minifySyntax: true,
    minifyWhitespace: true,
    keepNames: true,
    sourcemap: "external",
    legalComments: "none",
    metafile: true,
    logLevel: "warning",
  });
  mkdirSync(outputDirectory, { recursive: true });
  writeFileSync(join(outputDirectory, "meta.json"), JSON.stringify(metafile));
  writeFileSync(join(outputDirectory, "THIRD-PARTY-LICENSES.txt"), licencesOf(metafile));
  cpSync(join(root, "src/functions/setup"), join(outputDirectory, "setup"), { recursive: true });
  const bytes = readFileSync(file).byteLength;
  return { file, bytes, metafile };
};

/** Name, version and licence text of each package that has a file in the bundle. */
const licencesOf = (metafile: Metafile): string => {
  const directories = new Set<string>();
  for (const input of Object.keys(metafile.inputs)) {
    const [directory] = /^.*node_modules\/(?:@[^/]+\/)?[^/]+/.exec(input) ?? [];
    if (directory !== undefined) directories.add(directory);
  }
  return [...directories]
    .toSorted()
    .map(licenceOf)
    .join(`\n${"-".repeat(80)}\n\n`);
};

const licenceOf = (directory: string): string => {
  const path = join(root, directory);
  const manifest: { name: string; version: string; license?: string } = JSON.parse(
    readFileSync(join(path, "package.json"), "utf8"),
  );
  const file = readdirSync(path).find((name) => /^licen[cs]e(\.|-|$)/i.test(name));
  const text = file
    ? readFileSync(join(path, file), "utf8").trim()
    : "(The package names its licence without the text.)";
  return `${manifest.name} ${manifest.version} (${manifest.license ?? "licence not named"})\n\n${text}\n`;
};

if (import.meta.main) {
  const { file, bytes } = await build();
  if (!process.argv.includes("--quiet")) console.log(`${file}: ${Math.round(bytes / 1024)} KiB`);
}
