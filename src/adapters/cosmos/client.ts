/** One client per process and the containers of `infra/containers.json`. */

import { type Container, CosmosClient } from "@azure/cosmos";
import type { TokenCredential } from "@azure/identity";

export const containerIds = ["directory", "connections", "work", "access", "shared", "state", "handshakes"] as const;
export type ContainerId = (typeof containerIds)[number];

export type CosmosHandles = Record<ContainerId, Container> & {
  /** Releases what the client holds; nothing may be asked of it afterwards. */
  dispose(): void;
};

export interface CosmosOptions {
  endpoint: string;
  database: string;
  /** Only an emulator is reached by key; the account itself has keys switched off. */
  key?: string;
  credential?: TokenCredential;
}

/** No operation of the service runs longer than 5 s. */
const requestTimeoutMs = 10_000;

export const openCosmos = ({ endpoint, database, key, credential }: CosmosOptions): CosmosHandles => {
  const client = new CosmosClient({
    endpoint,
    ...(key === undefined ? {} : { key }),
    ...(credential === undefined ? {} : { aadCredentials: credential }),
    connectionPolicy: {
      // One region: there is nowhere else to go. With discovery on, the SDK sends a write again, up to 120 times, after some
      // socket errors, though the first one may have been carried out.
      enableEndpointDiscovery: false,
      enableBackgroundEndpointRefreshing: false,
      requestTimeout: requestTimeoutMs,
      retryOptions: { maxRetryAttemptCount: 3, fixedRetryIntervalInMilliseconds: 0, maxWaitTimeInSeconds: 5 },
    },
  });
  const container = (id: ContainerId): Container => client.database(database).container(id);
  return {
    directory: container("directory"),
    connections: container("connections"),
    work: container("work"),
    access: container("access"),
    shared: container("shared"),
    state: container("state"),
    handshakes: container("handshakes"),
    dispose: () => client.dispose(),
  };
};
