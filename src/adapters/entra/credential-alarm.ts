/**
 * Remembers for a while that Entra ID refused our own credential, or the registration as it is set up: that concerns every tenant
 * and no connection is to blame. Kept in this process only; as long as the fault lasts, every retry raises it again.
 */
import type { Tier } from "../../core/connections/tiers.ts";
import { isAppError } from "../../core/errors.ts";
import type { AppTokens } from "./app-tokens.ts";

/** Twice the wait after which the sync tries a faulty credential again. */
const alarmMilliseconds = 600_000;

export interface CredentialAlarm {
  /** The same tokens; what stands in the way of getting one is noticed. */
  tokens: AppTokens;
  isRaised(): boolean;
}

export const credentialAlarm = (tokens: AppTokens, now: () => number): CredentialAlarm => {
  const raisedUntil = new Map<Tier, number>();
  const noticed = async <T>(tier: Tier, request: Promise<T>): Promise<T> => {
    try {
      return await request;
    } catch (error) {
      if (isAppError(error) && error.kind === "misconfigured") raisedUntil.set(tier, now() + alarmMilliseconds);
      throw error;
    }
  };
  return {
    tokens: {
      token: (tier, tid, options) => noticed(tier, tokens.token(tier, tid, options)),
      roles: async (tier, tid, options) => {
        const roles = await noticed(tier, tokens.roles(tier, tid, options));
        // A token asked for now, not one from before: the credential works again.
        if (options.fresh) raisedUntil.delete(tier);
        return roles;
      },
      forget: (tid) => tokens.forget(tid),
    },
    isRaised: () => [...raisedUntil.values()].some((until) => until > now()),
  };
};
