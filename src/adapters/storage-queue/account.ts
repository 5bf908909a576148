/** Whose queues they are, and how we prove who we are: by key on a development machine, by managed identity elsewhere. */
import { ManagedIdentityCredential, type TokenCredential } from "@azure/identity";

export type QueueAccount = { connectionString: string } | { queueServiceUri: string; credential: TokenCredential };

/** Client id undefined: the only identity there is. */
export const queueAccount = (
  queue: { connectionString: string } | { queueServiceUri: string; clientId: string | undefined },
): QueueAccount => {
  if ("connectionString" in queue) return queue;
  const { queueServiceUri, clientId } = queue;
  return { queueServiceUri, credential: new ManagedIdentityCredential(clientId === undefined ? {} : { clientId }) };
};
