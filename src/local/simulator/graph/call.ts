/** What an answering function knows of the request it serves. */
import type { Tenant } from "../world.ts";
import { accessDenied } from "./errors.ts";
import type { FeedIndex } from "./feed-index.ts";
import type { Query } from "./query.ts";
import type { LinkSealer } from "./sealed-link.ts";
import type { Traits } from "./switches.ts";

export interface Call {
  tenant: Tenant;
  clientId: string;
  index: FeedIndex;
  traits: Traits;
  /** Permissions of the token with all they contain. */
  roles: ReadonlySet<string>;
  /** On whose behalf the token was issued; null: the application's own. */
  person: { oid: string; scopes: readonly string[] } | null;
  url: URL;
  query: Query;
  headers: Readonly<Record<string, string>>;
  body: string;
  /** Values of the `{...}` of the route, in order. */
  parameters: readonly string[];
  /** Ends in `/v1.0`. */
  graphUrl: string;
  sealer: LinkSealer;
  /** Makes chance differ between simulators, not between two runs of one. */
  seed: number;
  now: number;
}

export interface Reply {
  /** 200 unless told. */
  status?: number;
  body: object | null;
  headers?: Record<string, string>;
}

export const requireRight = (call: Call, right: string): void => {
  if (!call.roles.has(right)) throw accessDenied();
};

/** A link of Graph; a switch puts a foreign origin in its place. */
export const withOrigin = (link: string, origin: string | undefined): string =>
  origin === undefined ? link : link.replace(/^https?:\/\/[^/]+/, origin.replace(/\/$/, ""));

export const contextOf = (call: Call, entitySet: string, explicit: readonly string[] | null, single = false): string =>
  `${call.graphUrl}/$metadata#${entitySet}${explicit ? `(${explicit.join(",")})` : ""}${single ? "/$entity" : ""}`;
