/** `npm start`: the whole product on this machine, with a demonstration tenant. */
import { createWriteStream, type WriteStream } from "node:fs";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { z } from "zod";
import { oneLine, optionsOf, whole } from "./command-line.ts";
import { type Console, columns, openConsole } from "./demo/console.ts";
import { demoWorkspace, followRuns, runDemo } from "./demo/demo.ts";
import { type ReturnPage, startReturnPage } from "./demo/return-page.ts";
import { type Summary, summaryLines, whatNext } from "./demo/summary.ts";
import { type HostEnd, type Stack, StackFault, startStack } from "./stack.ts";

const usage = `npm start -- [options]
  --users N      people in the simulated tenant (2000)
  --groups N     groups in it (150)
  --seed S       another tenant for each number (1); an existing one is kept
  --once         end after the check; the exit code says whether the store equals the tenant
  --json         the summary as one JSON object on the last line
  --no-demo      only the stack
  --data DIR     where everything is kept (.data/stack)
  --fresh        empty that folder first
  --dev-tokens   the development token issuer also beside real services
PORT (7071) is where http is; https is one above.`;

const Options = z.object({
  users: whole(5, 200_000),
  groups: whole(0, 50_000),
  seed: whole(0, 1_000_000_000),
  once: z.boolean(),
  json: z.boolean(),
  demo: z.boolean(),
  data: z.string().min(1),
  fresh: z.boolean(),
  "dev-tokens": z.boolean(),
});
type Options = z.output<typeof Options>;

const readOptions = (): Options =>
  optionsOf(
    Options,
    () =>
      parseArgs({
        allowNegative: true,
        options: {
          users: { type: "string", default: "2000" },
          groups: { type: "string", default: "150" },
          seed: { type: "string", default: "1" },
          once: { type: "boolean", default: false },
          json: { type: "boolean", default: false },
          demo: { type: "boolean", default: true },
          data: { type: "string", default: ".data/stack" },
          fresh: { type: "boolean", default: false },
          "dev-tokens": { type: "boolean", default: false },
        },
      }).values,
    usage,
  );

const portOf = (text: string | undefined): number => {
  const port = whole(1, 65_534).safeParse(text?.trim() || "7071");
  if (!port.success) throw new StackFault("PORT is not a port.");
  return port.data;
};

const start = async (): Promise<void> => {
  const options = readOptions();
  const console = openConsole(process.stdout, options.json || !process.stdout.isTTY);
  const dataDir = resolve(options.data);
  const port = portOf(process.env.PORT);
  const logFile = join(dataDir, "stack.log");
  // Opened with the first line, when the stack has made sure that the folder is its own.
  let log: WriteStream | undefined;
  const write = (line: string): void => {
    log ??= createWriteStream(logFile, { flags: "w", mode: 0o600 });
    log.write(`${new Date().toISOString()} ${line}\n`);
  };

  const page = await startReturnPage();
  let stack: Stack | null = null;
  const closing = new AbortController();
  const leave = leaving(async () => {
    closing.abort();
    await stack?.stop();
    await page.close();
  });
  const failed = (sentence: string): void => {
    process.stderr.write(`${sentence}\n`);
    leave(1);
  };
  // To be ended by hand is how a stack that stays up ends; a check that was asked for has then not been made.
  for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => leave(options.once ? 130 : 0));

  try {
    stack = await startStack({
      dataDir,
      environment: process.env,
      port,
      returnOrigins: [page.origin],
      devTokens: options["dev-tokens"],
      seed: options.seed,
      fresh: options.fresh,
      onLog: write,
      onHostEnd: ({ code, signal, again }: HostEnd) =>
        console.line(
          `The function host ended (${signal ?? code}) and starts again in ${again.inMs} ms; see ${logFile}.`,
        ),
    });
    void stack.broken.then((part) => failed(`The stand-in for ${part} ended by itself; see ${logFile}.`));
    showParts(console, stack, logFile);
    const summary = await demonstrate(stack, page, options, console);
    if (options.once)
      return leave(summary && !summary.ok ? 1 : 0, summary && options.json ? JSON.stringify(summary) : "");
    for (const line of ["", ...whatNext(stack, demoWorkspace, summary), "", "Ctrl-C ends it."]) console.line(line);
    if (summary && options.json) console.line(JSON.stringify(summary));
    if (summary) await followRuns(stack, summary, closing.signal);
  } catch (error) {
    failed(oneLine(error));
  }
};

const demonstrate = async (
  stack: Stack,
  page: ReturnPage,
  options: Options,
  console: Console,
): Promise<Summary | null> => {
  if (!options.demo) return null;
  if (!stack.tokens) {
    const reason = "No demonstration: there is no development token issuer to call the API with (--dev-tokens).";
    if (options.once) throw new StackFault(reason);
    console.line(reason);
    return null;
  }
  const summary = await runDemo(stack, page, options, console);
  for (const line of ["", ...summaryLines(summary)]) console.line(line);
  return summary;
};

const showParts = (console: Console, stack: Stack, logFile: string): void => {
  const rows = stack.parts.map(({ name, address, given }) => [name, given ? "as set" : "stand-in", address]);
  for (const line of columns([["API", "", `${stack.url}  ${stack.publicBaseUrl}`], ...rows, ["Log", "", logFile]]))
    console.line(line);
  console.line();
};

/** npm passes on the Ctrl-C that the terminal has sent here as well: that is not a second one. */
const sameKeyPressMs = 1000;

/** The first call decides; another one, while it is still closing, does not wait any longer. */
const leaving = (close: () => Promise<void>) => {
  let since: number | null = null;
  return (code: number, lastLine = ""): void => {
    if (since !== null) {
      if (Date.now() - since > sameKeyPressMs) process.exit(code);
      return;
    }
    since = Date.now();
    close()
      .catch((error: unknown) => process.stderr.write(`${oneLine(error)}\n`))
      .finally(() => process.stdout.write(lastLine === "" ? "" : `${lastLine}\n`, () => process.exit(code)));
  };
};

await start().catch((error: unknown) => {
  process.stderr.write(`${oneLine(error)}\n`);
  process.exitCode = 1;
});
