/** Secrets of Azure Key Vault. What the vault said is reduced to a status: its errors carry the request, and that the value. */
import type { TokenCredential } from "@azure/identity";
import { SecretClient } from "@azure/keyvault-secrets";
import { AppError } from "../../core/errors.ts";
import type { SecretStore } from "../../core/store/ports.ts";

export interface SecretStoreOptions {
  url: string;
  credential: TokenCredential;
  /** Only for a local vault, whose name is not below the domain that its challenge names. */
  disableChallengeResourceVerification?: boolean;
  /** One call with all its retries; also bounds a Retry-After. */
  callMilliseconds?: number;
  now?: () => number;
}

const firstPauseMilliseconds = 1000;
const longestPauseMilliseconds = 30_000;

export const secretStore = ({
  url,
  credential,
  disableChallengeResourceVerification,
  callMilliseconds = 10_000,
  now = Date.now,
}: SecretStoreOptions): SecretStore => {
  const client = new SecretClient(url, credential, {
    retryOptions: { maxRetries: 2, retryDelayInMs: 200, maxRetryDelayInMs: 1000 },
    ...(disableChallengeResourceVerification === undefined ? {} : { disableChallengeResourceVerification }),
  });
  /** The limits of a vault are counted together: while it is overloaded this instance asks it for nothing at all. */
  let pausedUntil = 0;
  let overloads = 0;

  const asking = async <T>(call: (options: { abortSignal: AbortSignal }) => Promise<T>): Promise<T | null> => {
    if (pausedUntil > now()) throw paused(pausedUntil - now());
    try {
      const answer = await call({ abortSignal: AbortSignal.timeout(callMilliseconds) });
      overloads = 0;
      return answer;
    } catch (error) {
      const status = statusOf(error);
      if (status === 404) return null;
      if (isOverload(status)) {
        pausedUntil = now() + Math.min(longestPauseMilliseconds, firstPauseMilliseconds * 2 ** overloads);
        overloads++;
      }
      throw keysUnavailable(error);
    }
  };

  return {
    get: async (name) => (await asking((options) => client.getSecret(name, options)))?.value ?? null,
    set: async (name, value) => {
      // What cannot be found is the vault itself.
      if ((await asking((options) => client.setSecret(name, value, options))) === null)
        throw new AppError("keys-unavailable");
    },
    /** Deleted means out of use; the vault keeps it recoverable until its retention ends. A missing one counts as deleted. */
    delete: async (name) => {
      // Sends the request; what the poller would wait for is only that the name can be used again, and ours never are.
      await asking((options) => client.beginDeleteSecret(name, options));
    },
  };
};

const statusOf = (error: unknown): unknown =>
  error instanceof Error && "statusCode" in error ? error.statusCode : undefined;

/** Too many requests, a fault of the vault's own, or no answer in time. */
const isOverload = (status: unknown): boolean =>
  typeof status !== "number" || status === 429 || status === 408 || status >= 500;

/** What an operator has to look at, by status; others pass by themselves. */
const details: Record<number, string> = {
  401: "The vault does not accept this installation's identity.",
  403: "The vault refuses: the secret is disabled, or this installation's identity lacks the right.",
  409: "A secret of that name was deleted and can only be recovered by an operator.",
};

const paused = (milliseconds: number): AppError =>
  new AppError("keys-unavailable", { retryAfterSeconds: Math.ceil(milliseconds / 1000) });

const keysUnavailable = (error: unknown): AppError => {
  const status = statusOf(error);
  const detail = typeof status === "number" ? details[status] : undefined;
  const name = error instanceof Error ? error.name : "unknown";
  return new AppError("keys-unavailable", {
    ...(detail === undefined ? {} : { detail }),
    cause: new Error(`Key Vault: ${typeof status === "number" ? status : name}`),
  });
};
