/** A feed: what one Graph subscription watches, for all connections of a registration and a tenant. */

export const feedResources = ["users", "groups"] as const;
export type FeedResource = (typeof feedResources)[number];

export interface Feed {
  /** The app registration that subscribes, a lower-case GUID. */
  clientId: string;
  /** Entra tenant id, a lower-case GUID. */
  tenantId: string;
  resource: FeedResource;
}

const guid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** How messages and documents name a feed: `<clientId>:<tenantId>:<resource>`. */
export const feedKey = ({ clientId, tenantId, resource }: Feed): string => `${clientId}:${tenantId}:${resource}`;

/** Null when the text is not the name of a feed. */
export const parseFeed = (key: string): Feed | null => {
  const [clientId = "", tenantId = "", name, ...rest] = key.split(":");
  const resource = feedResources.find((known) => known === name);
  if (resource === undefined || rest.length > 0 || !guid.test(clientId) || !guid.test(tenantId)) return null;
  return { clientId, tenantId, resource };
};
