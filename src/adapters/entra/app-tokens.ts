/**
 * App-only tokens for Microsoft Graph, held under (registration, tenant) and never given out for another tenant. Tiers that
 * name the same registration share them. A token says that our application exists in the tenant, nothing more: Entra ID issues
 * it without any permission as well.
 */
import type { Tier } from "../../core/connections/tiers.ts";
import { AppError } from "../../core/errors.ts";
import { isOwnCredential, tokenFailure } from "./aadsts.ts";
import { type Credential, type CredentialOptions, credentialsOf } from "./credentials.ts";
import { isGuid, type Registration } from "./registration.ts";

export interface AppTokens {
  /** `fresh` asks Entra ID again: a cached token keeps the permissions it was issued with for up to 90 minutes. */
  token(tier: Tier, tid: string, options?: { fresh: boolean }): Promise<string>;
  /** Permissions named in the token. A diagnostic, not a proof: the token is meant for Graph and may become opaque. */
  roles(tier: Tier, tid: string, options: { fresh: boolean }): Promise<string[]>;
  forget(tid: string): void;
}

export type Registrations = Readonly<Partial<Record<Tier, Registration>>>;

export interface AppTokenOptions {
  /** `https://login.microsoftonline.com`, without a tenant. */
  authority: string;
  /** `graphResource(GRAPH_BASE_URL)`. */
  resource: string;
  now: () => number;
  timeoutMs?: number;
}

interface Entry {
  /** Null: to be made, from what is on disk then. The one that worked last is the first. */
  credentials: Credential[] | null;
  flight: Promise<string> | null;
  /** No token was given out yet, so the next one is fresh. */
  untried: boolean;
  /** Entra ID refused for a reason that the next seconds do not change. */
  refusal: { until: number; problem: AppError } | null;
}

const breakerMs = 60_000;
/** Each holds an SDK client with its token cache. */
const maxEntries = 1_000;

export const appTokens = (registrations: Registrations, options: AppTokenOptions): AppTokens => {
  const { now, timeoutMs = 10_000 } = options;
  const credentialOptions: CredentialOptions = { authority: options.authority, timeoutMs, now };
  const scope = `${options.resource}/.default`;
  const entries = new Map<string, Entry>();

  const entryFor = (key: string, fresh: boolean): Entry => {
    const known = entries.get(key);
    const usable = known && (!fresh || (known.untried && !known.refusal)) ? known : null;
    const entry = usable ?? { credentials: null, flight: null, untried: true, refusal: null };
    entries.delete(key);
    entries.set(key, entry);
    for (const oldest of entries.keys()) {
      if (entries.size <= maxEntries) break;
      entries.delete(oldest);
    }
    return entry;
  };

  const acquire = async (entry: Entry, registration: Registration, tid: string): Promise<string> => {
    let problem = new AppError("credential-rejected", { detail: "No certificate is configured." });
    const credentials = (entry.credentials ??= credentialsOf(registration, tid, credentialOptions));
    for (const credential of credentials) {
      try {
        const answer = await credential.getToken(scope);
        if (!answer) throw new AppError("sign-in-unavailable", { detail: "no token" });
        entry.credentials = [credential, ...credentials.filter((other) => other !== credential)];
        entry.untried = false;
        return answer.token;
      } catch (error) {
        problem = tokenFailure(error);
        if (!isOwnCredential(problem.code)) break;
      }
    }
    if (isOwnCredential(problem.code)) entry.credentials = null;
    if (problem.code !== "sign-in-unavailable") entry.refusal = { until: now() + breakerMs, problem };
    throw problem;
  };

  const token: AppTokens["token"] = async (tier, tid, { fresh } = { fresh: false }) => {
    const registration = registrations[tier];
    if (!registration) throw new AppError("tier-not-offered");
    if (!isGuid(tid)) throw new AppError("unexpected", { detail: "The tenant id is not a GUID." });
    const entry = entryFor(keyOf(registration, tid), fresh);
    if (entry.refusal && now() < entry.refusal.until) throw entry.refusal.problem;
    entry.refusal = null;
    entry.flight ??= acquire(entry, registration, tid.toLowerCase()).finally(() => {
      entry.flight = null;
    });
    return entry.flight;
  };

  return {
    token,
    roles: async (tier, tid, { fresh }) => rolesIn(await token(tier, tid, { fresh })),
    forget: (tid) => {
      for (const registration of Object.values(registrations)) entries.delete(keyOf(registration, tid));
    },
  };
};

const keyOf = (registration: Registration, tid: string): string => `${registration.clientId} ${tid}`.toLowerCase();

const rolesIn = (token: string): string[] => {
  try {
    const payload: unknown = JSON.parse(Buffer.from(token.split(".")[1] ?? "", "base64url").toString("utf8"));
    if (typeof payload !== "object" || payload === null || !("roles" in payload) || !Array.isArray(payload.roles))
      return [];
    return payload.roles.filter((role): role is string => typeof role === "string");
  } catch {
    return [];
  }
};
