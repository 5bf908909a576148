/** `host.json`, as far as this host acts on it, and the app's settings. https://learn.microsoft.com/azure/azure-functions/functions-host-json */
import { readFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { z } from "zod";

export interface QueueSettings {
  batchSize: number;
  /** More is fetched when no more messages than this are being handled. */
  newBatchThreshold: number;
  maxDequeueCount: number;
  /** How long a failed message stays away. */
  visibilityTimeoutSeconds: number;
  maxPollingIntervalMs: number;
  messageEncoding: "base64" | "none";
  /** Not in host.json: how long a received message stays hidden; renewed at half of it. */
  invisibilitySeconds: number;
}

export interface HostSettings {
  functionTimeoutMs: number;
  http: { routePrefix: string; maxOutstandingRequests: number; maxConcurrentRequests: number };
  queues: QueueSettings;
}

/** `[d.]hh:mm:ss`, in milliseconds. */
const timeSpan = z
  .string()
  .regex(/^(\d+\.)?\d\d:\d\d:\d\d$/, "is not [d.]hh:mm:ss")
  .transform((text) => {
    const [seconds = 0, minutes = 0, hours = 0, days = 0] = text.split(/[.:]/).map(Number).toReversed();
    return (((days * 24 + hours) * 60 + minutes) * 60 + seconds) * 1000;
  });

const unbounded = -1;
const longestTimerMs = 2 ** 31 - 1;

const hostJson = z.object({
  version: z.literal("2.0"),
  functionTimeout: z.union([timeSpan, z.literal("-1").transform(() => longestTimerMs)]).default(30 * 60_000),
  extensions: z
    .object({
      http: z
        .object({
          routePrefix: z.string().default("api"),
          maxOutstandingRequests: z.int().default(unbounded),
          maxConcurrentRequests: z.int().default(unbounded),
        })
        .prefault({}),
      queues: z
        .object({
          batchSize: z.int().min(1).max(32).default(16),
          newBatchThreshold: z.int().min(0).optional(),
          maxDequeueCount: z.int().min(1).default(5),
          visibilityTimeout: timeSpan.default(0),
          maxPollingInterval: z.union([timeSpan, z.int()]).pipe(z.int().min(100)).default(2000),
          messageEncoding: z.enum(["base64", "none"]).default("base64"),
        })
        .prefault({}),
    })
    .prefault({}),
});

export const readHostSettings = (appDirectory: string, overrides: Partial<QueueSettings>): HostSettings => {
  const file = join(appDirectory, "host.json");
  const parsed = hostJson.safeParse(JSON.parse(readFileSync(file, "utf8")));
  if (!parsed.success) throw new Error(`${file}: ${z.prettifyError(parsed.error)}`);
  const { functionTimeout, extensions } = parsed.data;
  const { http, queues } = extensions;
  return {
    functionTimeoutMs: functionTimeout,
    http: {
      routePrefix: http.routePrefix,
      maxOutstandingRequests: orInfinity(http.maxOutstandingRequests),
      maxConcurrentRequests: orInfinity(http.maxConcurrentRequests),
    },
    queues: {
      batchSize: queues.batchSize,
      newBatchThreshold: queues.newBatchThreshold ?? Math.floor(queues.batchSize / 2) * availableParallelism(),
      maxDequeueCount: queues.maxDequeueCount,
      visibilityTimeoutSeconds: queues.visibilityTimeout / 1000,
      maxPollingIntervalMs: queues.maxPollingInterval,
      messageEncoding: queues.messageEncoding,
      invisibilitySeconds: 600,
      ...overrides,
    },
  };
};

const orInfinity = (maximum: number): number => (maximum === unbounded ? Number.POSITIVE_INFINITY : maximum);

/** Replaces each `%SETTING%`; one that is not set stops the start, as an unresolvable binding does in Azure. */
export const settingResolver =
  (env: Readonly<Record<string, string | undefined>>) =>
  (text: string): string =>
    text.replaceAll(/%([^%]+)%/g, (_, name: string) => {
      const value = env[name];
      if (value === undefined || value === "") throw new Error(`"%${name}%" does not resolve: no such setting.`);
      return value;
    });
