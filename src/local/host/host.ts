/**
 * A function host for the shipped bundle: loads it by the real worker's contract and drives its HTTP, timer and queue functions with
 * the semantics of the real host. It owns its process: environment, working directory and the module loader are changed for the app,
 * and an uncaught exception ends it. Start it with `startHostProcess`.
 */
import { resolve } from "node:path";
import { loadApp } from "./app.ts";
import type { LogLevel } from "./contract.ts";
import { type HttpOptions, listen } from "./http.ts";
import { invoker } from "./invocation.ts";
import { type Log, logTo } from "./log.ts";
import { listenToQueue } from "./queues.ts";
import { type QueueSettings, readHostSettings, settingResolver } from "./settings.ts";
import { startTimers } from "./timers.ts";
import { isTriggeredBy, readTrigger } from "./triggers.ts";

export interface HostOptions {
  /** The file that registers the functions, e.g. `dist/functions.mjs`. */
  entry: string;
  /** Where host.json is; becomes the working directory. */
  appDirectory: string;
  /** The app's settings. Of the host's own environment the app sees only what names this machine, not what configures an app. */
  env: Record<string, string>;
  http: HttpOptions;
  /** What `AzureWebJobsStorage` stands for when `env` does not say. */
  queues: { connectionString: string };
  overrides?: Partial<QueueSettings>;
  /** Where timers keep what they did last; absent: in memory. */
  statusDir?: string;
  /** Quieter lines are left out; `information` when absent. */
  logLevel?: LogLevel;
}

export interface FunctionSummary {
  name: string;
  type: "http" | "timer" | "queue";
  route?: string;
  methods?: string[];
}

export interface Host {
  url: string;
  tlsUrl: string | undefined;
  functions: FunctionSummary[];
  /** Runs a timer now and waits for it; rejects when it fails. */
  invokeTimer(name: string): Promise<void>;
  /** Pulls nothing more, lets handlers end for some seconds, runs the appTerminate hooks. */
  close(): Promise<void>;
}

/** Both together stay below the time after which a child of the stack is killed. */
const drainWithinMs = 7_000;
const terminateWithinMs = 4_000;

const ofThisMachine =
  /^(path|home|userprofile|tmpdir|temp|tmp|systemroot|lang|tz|node_extra_ca_certs|node_v8_coverage|https?_proxy|no_proxy)$/i;

export const startHost = async (options: HostOptions, writeLine = toStandardOutput): Promise<Host> => {
  const appDirectory = resolve(options.appDirectory);
  const entry = resolve(options.entry);
  becomeEnvironment({ AZURE_FUNCTIONS_ENVIRONMENT: "Development", FUNCTIONS_WORKER_RUNTIME: "node", ...options.env });
  process.chdir(appDirectory);

  const log: Log = logTo(writeLine, options.logLevel ?? "information");
  const settings = readHostSettings(appDirectory, options.overrides ?? {});
  const app = await loadApp(entry, appDirectory, log);
  const withSettings = settingResolver(options.env);
  const functions = app.functions.map((registered) => ({
    ...registered,
    trigger: readTrigger(registered.metadata, withSettings),
  }));
  const invoke = invoker(app, log, settings.functionTimeoutMs);
  const queueTargets = functions.filter(isTriggeredBy("queue"));
  const connections = queueTargets.map((target) => connectionStringFor(target.trigger.connection, options));

  const timerTargets = functions.filter(isTriggeredBy("timer"));
  const invokeByHand = (name: string, input: string): Promise<void> | undefined => {
    const isNamed = (target: { metadata: { name: string } }) =>
      target.metadata.name.toLowerCase() === name.toLowerCase();
    const timer = timerTargets.find(isNamed);
    if (timer) return timers.invoke(timer);
    const queue = queueTargets.find(isNamed);
    return queue && invoke(queue, { data: { string: input } }).then(() => undefined);
  };

  const http = await listen(options.http, {
    functions: functions.filter(isTriggeredBy("http")),
    settings: settings.http,
    maxBodyBytes: Number(options.env.FUNCTIONS_REQUEST_BODY_SIZE_LIMIT ?? 100 * 1024 * 1024),
    showHomePage: options.env.AzureWebJobsDisableHomepage?.toLowerCase() !== "true",
    invoke,
    invokeByHand,
    log,
  });
  const timers = startTimers(timerTargets, invoke, options.statusDir, log);
  const queues = queueTargets.map((target, index) =>
    listenToQueue(target, connections[index] ?? "", settings.queues, invoke, log),
  );

  return {
    url: http.url,
    tlsUrl: http.tlsUrl,
    functions: functions.map(({ metadata, trigger }) => ({
      name: metadata.name,
      type: trigger.kind,
      ...(trigger.kind === "http" ? { route: trigger.route, methods: trigger.methods } : {}),
    })),
    invokeTimer: async (name) => {
      const timer = timerTargets.find((target) => target.metadata.name === name);
      if (!timer) throw new Error(`There is no timer "${name}".`);
      await timers.invoke(timer);
    },
    close: async () => {
      const drained = Promise.all([...queues.map((queue) => queue.close()), timers.close(), http.close()]);
      await within(drainWithinMs, drained);
      http.cut();
      await within(terminateWithinMs, app.hooks.run("appTerminate", {}));
    },
  };
};

const becomeEnvironment = (env: Record<string, string>): void => {
  for (const name of Object.keys(process.env)) if (!ofThisMachine.test(name)) delete process.env[name];
  Object.assign(process.env, env);
};

const connectionStringFor = (connection: string, options: HostOptions): string => {
  const given = options.env[connection];
  if (given !== undefined) return given;
  if (connection === "AzureWebJobsStorage") return options.queues.connectionString;
  throw new Error(`The connection "${connection}" is not among the settings.`);
};

/** Waits no longer than that; the work itself cannot be taken back. */
const within = async (milliseconds: number, work: Promise<unknown>): Promise<void> => {
  const { promise: tooLate, resolve: giveUp } = Promise.withResolvers<void>();
  const timer = setTimeout(giveUp, milliseconds);
  await Promise.race([work, tooLate]).finally(() => clearTimeout(timer));
};

const toStandardOutput = (line: string): void => {
  process.stdout.write(`${line}\n`);
};
