/** What goes wrong by script, request by request, and at random in a storm. */
import { z } from "zod";
import { chance } from "./chance.ts";
import { GraphError } from "./errors.ts";

const Trouble = z.discriminatedUnion("kind", [
  z.object({
    kind: z.literal("throttle"),
    /** Absent: the answer has no Retry-After. Fractions have been seen inside batches. */
    retryAfterSeconds: z.number().nonnegative().optional(),
    asDate: z.boolean().optional(),
    scope: z.enum(["Tenant_Application", "Tenant", "Application"]).optional(),
  }),
  z.object({
    kind: z.literal("status"),
    status: z.number().int().min(400).max(599),
    code: z.string().optional(),
    message: z.string().optional(),
    retryAfterSeconds: z.number().nonnegative().optional(),
  }),
  z.object({ kind: z.literal("reset") }),
  z.object({ kind: z.literal("truncated") }),
  z.object({ kind: z.literal("html"), status: z.number().int().min(200).max(599) }),
  z.object({ kind: z.literal("slow"), milliseconds: z.number().nonnegative() }),
  /** 410 with `Location`, as after a tenant's migration. */
  z.object({ kind: z.literal("gone") }),
  /** The spelling varies, and so does the status. */
  z.object({
    kind: z.literal("sync-state-not-found"),
    code: z.enum(["syncStateNotFound", "SyncStateNotFound", "SYNCSTATENOTFOUND"]).optional(),
    status: z.union([z.literal(400), z.literal(404), z.literal(410)]).optional(),
  }),
  z.object({ kind: z.literal("resync-required"), nested: z.boolean().optional() }),
  z.object({ kind: z.literal("delta-link-too-old") }),
  z.object({ kind: z.literal("page-token-expired") }),
  z.object({ kind: z.literal("token-unknown") }),
]);
export type Trouble = z.infer<typeof Trouble>;

export const Fault = z.object({
  trouble: Trouble,
  /** How many matching requests it meets; 1 unless told. */
  times: z.number().int().positive().optional(),
  /** Matching requests that pass before the first one it meets. */
  after: z.number().int().nonnegative().optional(),
  tid: z.string().optional(),
  /** A regular expression on path and decoded query, e.g. `^/users/delta`. */
  path: z.string().optional(),
  /** Only requests that carry this kind of link, or none of them. */
  link: z.enum(["delta", "next", "none"]).optional(),
  /** Meets the requests inside `$batch`, and only these. */
  inBatch: z.boolean().optional(),
});
export type Fault = z.infer<typeof Fault>;

export const Storm = z.object({
  seed: z.number(),
  /** Probabilities for each request. */
  throttle: z.number().optional(),
  throttleInBatch: z.number().optional(),
  unavailable: z.number().optional(),
  error: z.number().optional(),
  badGateway: z.number().optional(),
  reset: z.number().optional(),
  truncated: z.number().optional(),
  html: z.number().optional(),
  /** Retry-After of a throttled request is drawn up to this many seconds; about one in four has none. */
  longestRetryAfterSeconds: z.number().optional(),
});
export type Storm = z.infer<typeof Storm>;

export interface FaultedRequest {
  tid: string | undefined;
  /** Below the version root, with the query, decoded. */
  path: string;
  link: "delta" | "next" | "none";
  inBatch: boolean;
}

export interface FaultScript {
  add(faults: readonly Fault[]): void;
  clear(): void;
  storm(storm: Storm | null): void;
  /** The trouble for this request; each question counts as one request. */
  troubleFor(request: FaultedRequest): Trouble | null;
  /** Faults that have not met all their requests yet. */
  left(): number;
}

interface Scripted {
  fault: Fault;
  path: RegExp | null;
  wait: number;
  left: number;
}

export const createFaultScript = (): FaultScript => {
  let scripted: Scripted[] = [];
  let storm: Storm | null = null;
  let stormRequests = 0;

  const fits = ({ fault, path }: Scripted, request: FaultedRequest): boolean =>
    (fault.inBatch ?? false) === request.inBatch &&
    (fault.tid === undefined || fault.tid === request.tid) &&
    (path === null || path.test(request.path)) &&
    [undefined, request.link].includes(fault.link ?? linkMeantBy(fault.trouble));

  return {
    add: (faults) => {
      for (const fault of faults) {
        const path = fault.path === undefined ? null : new RegExp(fault.path);
        scripted.push({ fault, path, wait: fault.after ?? 0, left: fault.times ?? 1 });
      }
    },
    clear: () => {
      scripted = [];
    },
    storm: (next) => {
      storm = next;
      stormRequests = 0;
    },
    troubleFor: (request) => {
      for (const each of scripted) {
        if (!fits(each, request)) continue;
        if (each.wait > 0) {
          each.wait--;
          continue;
        }
        each.left--;
        scripted = scripted.filter(({ left }) => left > 0);
        return each.fault.trouble;
      }
      return storm ? stormTrouble(storm, stormRequests++, request.inBatch) : null;
    },
    left: () => scripted.length,
  };
};

/** Without a word about links a fault that spoils a token meets requests with such a token only. */
const linkMeantBy = ({ kind }: Trouble): Fault["link"] => {
  if (kind === "page-token-expired") return "next";
  const spoilsDeltaLinks = ["gone", "sync-state-not-found", "resync-required", "delta-link-too-old", "token-unknown"];
  return spoilsDeltaLinks.includes(kind) ? "delta" : undefined;
};

const stormTrouble = (storm: Storm, request: number, inBatch: boolean): Trouble | null => {
  const dice = (label: string): number => chance(storm.seed, label, request);
  const longest = storm.longestRetryAfterSeconds ?? 2;
  const wait = dice("no wait") < 0.25 ? {} : { retryAfterSeconds: Math.ceil(dice("wait") * longest) };
  const weather: [number | undefined, Trouble][] = inBatch
    ? [[storm.throttleInBatch, { kind: "throttle", retryAfterSeconds: dice("wait") * longest }]]
    : [
        [storm.throttle, { kind: "throttle", ...wait }],
        [storm.unavailable, { kind: "status", status: dice("503") < 0.5 ? 503 : 504 }],
        [storm.error, { kind: "status", status: 500 }],
        [storm.badGateway, { kind: "status", status: 502 }],
        [storm.reset, { kind: "reset" }],
        [storm.truncated, { kind: "truncated" }],
        [storm.html, { kind: "html", status: dice("html") < 0.5 ? 200 : 502 }],
      ];
  for (const [probability, trouble] of weather) if (dice(JSON.stringify(trouble)) < (probability ?? 0)) return trouble;
  return null;
};

export interface TroubleScene {
  now: number;
  clientId: string;
  tid: string;
  /** Where a client would begin again: the feed's first request with an empty token. */
  beginAgain: string;
}

const statusCodes: Record<number, string> = {
  500: "InternalServerError",
  502: "UnknownError",
  503: "serviceNotAvailable",
  504: "UnknownError",
  509: "activityLimitReached",
};

/** The refusal that a trouble is; null for troubles that spoil an answer instead of replacing it. */
export const refusalOf = (trouble: Trouble, scene: TroubleScene): GraphError | null => {
  switch (trouble.kind) {
    case "throttle": {
      const scope = trouble.scope ?? "Tenant_Application";
      return throttled(trouble.retryAfterSeconds, scope, scene, trouble.asDate ?? false);
    }
    case "status": {
      const code = trouble.code ?? statusCodes[trouble.status] ?? "UnknownError";
      const headers =
        trouble.retryAfterSeconds === undefined ? {} : { "Retry-After": String(trouble.retryAfterSeconds) };
      return new GraphError(trouble.status, code, trouble.message ?? "", { headers });
    }
    case "gone":
      return new GraphError(410, "resyncRequired", "Begin again.", { headers: { Location: scene.beginAgain } });
    case "sync-state-not-found":
      return new GraphError(
        trouble.status ?? 400,
        trouble.code ?? "syncStateNotFound",
        "The sync state generation is not found; begin again.",
      );
    case "resync-required":
      return trouble.nested
        ? new GraphError(400, "UnknownError", "Begin again.", { innerCode: "resyncRequired" })
        : new GraphError(400, "resyncRequired", "Begin again.");
    case "delta-link-too-old":
      return new GraphError(400, "Request_UnsupportedQuery", "DeltaLink older than 30 days is not supported.");
    case "page-token-expired":
      return new GraphError(400, "Directory_ExpiredPageToken", "The page token has expired.");
    case "token-unknown":
      return new GraphError(400, "Request_BadRequest", "Badly formed token.");
    default:
      return null;
  }
};

export const throttled = (
  retryAfterSeconds: number | undefined,
  scope: string,
  scene: Pick<TroubleScene, "now" | "clientId" | "tid">,
  asDate: boolean,
): GraphError => {
  const headers: Record<string, string> = {
    "x-ms-throttle-scope": `${scope}/ReadWrite/${scene.clientId}/${scene.tid}`,
    "x-ms-throttle-information": "ResourceUnitLimitExceeded",
  };
  if (retryAfterSeconds !== undefined) {
    headers["Retry-After"] = asDate
      ? new Date(scene.now + retryAfterSeconds * 1000).toUTCString()
      : String(retryAfterSeconds);
  }
  return new GraphError(429, "TooManyRequests", "Too many requests.", { headers, innerCode: "429" });
};
