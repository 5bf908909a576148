/** Forms of answers about connections and consent. The compiler holds them against what the use-cases return. */
import { z } from "zod";
import { Settings } from "../core/connections/settings.ts";
import { type Tier, tiers } from "../core/connections/tiers.ts";
import { feedResources } from "../core/notifications/feed.ts";
import { refusals } from "../core/notifications/ports.ts";
import { Finding } from "../core/views/test-connection.ts";
import { SetupView } from "../core/wizard/progress.ts";
import { Step } from "../core/wizard/steps.ts";

const TierName = z.enum(tiers);

const TierRecord = z.strictObject({
  wanted: z.boolean(),
  state: z.enum(["off", "consent-needed", "active", "degraded", "revoked"]),
  missing: z.array(z.string()),
  /** Why it is degraded or revoked, and what to do; absent otherwise. */
  trouble: z.strictObject({ code: z.string(), advice: z.string().nullable(), since: z.iso.datetime() }).exactOptional(),
});

const ofEachTier = <T extends z.ZodType>(schema: T) =>
  z.strictObject({ read: schema, write: schema, licences: schema, signIn: schema, calendar: schema } satisfies Record<
    Tier,
    T
  >);

const instant = z.iso.datetime();

const Arrivals = z.strictObject({
  /** That brought changes. */
  rounds: z.int(),
  /** Of the last 50 of them. */
  p50Seconds: z.int().nullable(),
  p95Seconds: z.int().nullable(),
});

export const ConnectionAnswer = z.strictObject({
  id: z.string(),
  displayName: z.string(),
  state: z.enum(["draft", "proven", "active", "needs-attention", "closing"]),
  paused: z.boolean(),
  attention: z.strictObject({ code: z.string(), advice: z.string().nullable(), since: instant }).nullable(),
  quarantine: z
    .strictObject({ code: z.string(), advice: z.string().nullable(), since: instant, failures: z.int() })
    .nullable(),
  tid: z.string().nullable(),
  access: ofEachTier(TierRecord),
  settings: Settings,
  counts: z.strictObject({ people: z.int(), groups: z.int(), memberships: z.int() }),
  lastRound: z
    .strictObject({
      startedAt: instant,
      endedAt: instant,
      cause: z.enum(["schedule", "manual", "notification", "settings"]),
      outcome: z.enum(["done", "nothing", "dry-run", "rejected", "expired", "cancelled", "failed"]),
      graphRequests: z.int(),
    })
    .nullable(),
  arrivals: z.strictObject({ notification: Arrivals, schedule: Arrivals, manual: Arrivals }),
  nextSyncAt: instant.nullable(),
  nextTestAt: instant.nullable(),
  approval: z.strictObject({ run: z.string(), planHash: z.string(), waitsUntil: instant }).nullable(),
  size: z.strictObject({ bytes: z.int(), state: z.enum(["ok", "near-limit", "full"]) }),
  setup: z.enum(["unfinished", "finished"]),
  createdAt: instant,
  closesAt: instant.nullable(),
  etag: z.string(),
});

export const ConnectionDetails = ConnectionAnswer.extend({
  deadConsumers: z.int(),
  subscriptions: z.array(
    z.strictObject({
      resource: z.enum(feedResources),
      state: z.enum(["waiting", "live", "refused"]),
      reason: z.enum(refusals).nullable(),
    }),
  ),
});

export const UpdatedConnection = ConnectionAnswer.extend({
  notices: z.array(
    z.strictObject({ tier: TierName, code: z.enum(["grant-remains", "consent-needed"]), text: z.string() }),
  ),
});

export const TestAnswer = z.strictObject({ connection: ConnectionAnswer, findings: z.array(Finding) });

export const SettingsAnswer = Settings.extend({ version: z.int(), etag: z.string() });

export const SetupAnswer = SetupView.extend({
  steps: z.array(
    Step.extend({
      /** What serves the step. Of a path only names in braces are left open. */
      routes: z.array(
        z.strictObject({
          name: z.string(),
          method: z.string(),
          path: z.string(),
          summary: z.string(),
          permission: z.string().nullable(),
        }),
      ),
    }),
  ),
});

export const PermissionsAnswer = z.strictObject({
  items: z.array(
    z.strictObject({
      tier: TierName,
      title: z.string(),
      offered: z.boolean(),
      approvedAt: instant.nullable(),
      /** For callers with `audit:read`. */
      approvedBy: z
        .strictObject({ oid: z.string(), name: z.string(), userPrincipalName: z.string() })
        .nullable()
        .exactOptional(),
      permissions: z.array(
        z.strictObject({
          value: z.string(),
          type: z.enum(["application", "delegated"]),
          wording: z.string(),
          /** What stops working without it. */
          without: z.string(),
          approved: z.boolean(),
          granted: z.boolean().nullable(),
        }),
      ),
      usedOn: z.iso.date().nullable(),
      effective: TierRecord,
    }),
  ),
});

export const ConsentAnswer = z.strictObject({ connectUrl: z.url(), expiresAt: instant });

export const listOf = <T extends z.ZodType>(item: T) =>
  z.strictObject({ items: z.array(item), next: z.string().nullable() });
