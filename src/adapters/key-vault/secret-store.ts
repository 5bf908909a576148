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
}

/** One call with all its retries; also bounds a Retry-After. */
const callTimeoutMs = 10_000;

export const secretStore = ({
  url,
  credential,
  disableChallengeResourceVerification,
}: SecretStoreOptions): SecretStore => {
  const client = new SecretClient(url, credential, {
    retryOptions: { maxRetries: 2, retryDelayInMs: 200, maxRetryDelayInMs: 1000 },
    ...(disableChallengeResourceVerification === undefined ? {} : { disableChallengeResourceVerification }),
  });
  return {
    get: async (name) => {
      try {
        const { value } = await client.getSecret(name, { abortSignal: AbortSignal.timeout(callTimeoutMs) });
        return value ?? null;
      } catch (error) {
        if (statusOf(error) === 404) return null;
        throw keysUnavailable(error);
      }
    },

    set: async (name, value) => {
      try {
        await client.setSecret(name, value, { abortSignal: AbortSignal.timeout(callTimeoutMs) });
      } catch (error) {
        throw keysUnavailable(error);
      }
    },

    /** Deleted means out of use; the vault keeps it recoverable until its retention ends. A missing one counts as deleted. */
    delete: async (name) => {
      try {
        // Sends the request; what the poller would wait for is only that the name can be used again, and ours never are.
        await client.beginDeleteSecret(name, { abortSignal: AbortSignal.timeout(callTimeoutMs) });
      } catch (error) {
        if (statusOf(error) !== 404) throw keysUnavailable(error);
      }
    },
  };
};

const statusOf = (error: unknown): unknown =>
  error instanceof Error && "statusCode" in error ? error.statusCode : undefined;

/** What an operator has to look at, by status; others pass by themselves. */
const details: Record<number, string> = {
  401: "The vault does not accept this installation's identity.",
  403: "The vault refuses: the secret is disabled, or this installation's identity lacks the right.",
  409: "A secret of that name was deleted and can only be recovered by an operator.",
};

const keysUnavailable = (error: unknown): AppError => {
  const status = statusOf(error);
  const detail = typeof status === "number" ? details[status] : undefined;
  const name = error instanceof Error ? error.name : "unknown";
  return new AppError("keys-unavailable", {
    ...(detail === undefined ? {} : { detail }),
    cause: new Error(`Key Vault: ${typeof status === "number" ? status : name}`),
  });
};
