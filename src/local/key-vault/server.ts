/**
 * A stand-in for Azure Key Vault that the unchanged SecretClient talks to. It plays a vault with purge protection and an
 * application that may get, set, list, delete and recover, never purge.
 */
import { setTimeout as delay } from "node:timers/promises";
import type { SimRequest, SimResponse } from "../simulator/http.ts";
import type { ServerCertificate } from "../tls.ts";
import { startLoopbackServer } from "../tokens/loopback-server.ts";
import { Failure, type KeyVaultOperation, perform, type VaultCall } from "./operations.ts";
import { createSecrets } from "./secrets.ts";

export type { KeyVaultOperation } from "./operations.ts";

export interface KeyVaultOptions {
  tls: ServerCertificate;
  port?: number;
  /** JSON file that survives restarts; absent: in memory. */
  file?: string;
  verifyToken: (bearer: string) => boolean | Promise<boolean>;
  now?: () => number;
}

/** Assign to make the vault misbehave; counters go down by one with each request they hit. */
export interface KeyVaultFaults {
  throttleNext: number;
  /** Absent: a 429 without Retry-After. */
  retryAfterSeconds?: number;
  unavailableNext: number;
  /** Carried out, then the connection is reset: the caller cannot know. */
  loseAnswersNext: number;
  slowByMs: number;
}

export interface KeyVault {
  url: string;
  close(): Promise<void>;
  faults: KeyVaultFaults;
  /** Requests with a valid token since the start, refused and faulted ones included. */
  readonly calls: Readonly<Record<KeyVaultOperation, number>>;
}

export const startKeyVault = async (options: KeyVaultOptions): Promise<KeyVault> => {
  const secrets = createSecrets(options.file, options.now ?? Date.now);
  const faults: KeyVaultFaults = { throttleNext: 0, unavailableNext: 0, loseAnswersNext: 0, slowByMs: 0 };
  const calls: Record<KeyVaultOperation, number> = {
    set: 0,
    get: 0,
    update: 0,
    delete: 0,
    list: 0,
    "list-versions": 0,
    "get-deleted": 0,
    "list-deleted": 0,
    recover: 0,
    purge: 0,
  };

  const answer = async (request: SimRequest): Promise<SimResponse | null> => {
    const bearer = /^Bearer (.+)$/i.exec(request.headers.authorization ?? "")?.[1];
    if (bearer === undefined || !(await options.verifyToken(bearer))) return challenge(request);
    const call = callOf(request);
    if (!call) return new Failure(404, "NotFound", "The address is none of the vault's.").response;
    calls[call.operation] += 1;
    if (faults.slowByMs > 0) await delay(faults.slowByMs);
    try {
      refuseByFault(faults);
      if (!request.url.searchParams.has("api-version"))
        throw new Failure(400, "BadParameter", "The parameter api-version is missing.");
      const response = perform(secrets, call, request);
      if (faults.loseAnswersNext > 0) {
        faults.loseAnswersNext -= 1;
        return null;
      }
      return response;
    } catch (error) {
      if (error instanceof Failure) return error.response;
      throw error;
    }
  };

  const server = await startLoopbackServer({ port: options.port, tls: options.tls, answer });
  return { url: server.url, close: () => server.close(), faults, calls };
};

/** The client reads from here whom to ask for a token; the authority itself is never called by the stand-in's users. */
const challenge = (request: SimRequest): SimResponse => ({
  status: 401,
  headers: {
    "www-authenticate": `Bearer authorization="${request.url.origin}/00000000-0000-4000-8000-000000000000", resource="https://vault.azure.net"`,
  },
  body: { error: { code: "Unauthorized", message: "A bearer token of the vault's tenant is needed." } },
});

const refuseByFault = (faults: KeyVaultFaults): void => {
  if (faults.throttleNext > 0) {
    faults.throttleNext -= 1;
    const after = faults.retryAfterSeconds;
    throw new Failure(
      429,
      "Throttled",
      "Too many requests.",
      undefined,
      after === undefined ? {} : { "retry-after": String(after) },
    );
  }
  if (faults.unavailableNext > 0) {
    faults.unavailableNext -= 1;
    throw new Failure(503, "ServiceUnavailable", "The vault is not available now.");
  }
};

const callOf = ({ method, url }: SimRequest): VaultCall | null => {
  // The client ends the address of a secret without version with a slash.
  const [, area, name = "", third = "", ...more] = url.pathname.split("/");
  if (more.length > 0) return null;
  const operation = operationOf(method, area, name, third);
  return operation && { operation, name, version: third === "versions" || third === "recover" ? "" : third };
};

const operationOf = (
  method: string,
  area: string | undefined,
  name: string,
  third: string,
): KeyVaultOperation | null => {
  if (area === "secrets") {
    if (name === "") return method === "GET" ? "list" : null;
    if (third === "versions") return method === "GET" ? "list-versions" : null;
    if (method === "GET") return "get";
    if (method === "PATCH") return "update";
    if (third !== "") return null;
    return method === "PUT" ? "set" : method === "DELETE" ? "delete" : null;
  }
  if (area !== "deletedsecrets") return null;
  if (name === "") return method === "GET" ? "list-deleted" : null;
  if (third === "recover") return method === "POST" ? "recover" : null;
  if (third !== "") return null;
  return method === "GET" ? "get-deleted" : method === "DELETE" ? "purge" : null;
};
