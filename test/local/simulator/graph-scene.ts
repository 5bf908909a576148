/** A simulated Graph without sockets, on small directories made by hand or on generated ones. */
import { randomBytes } from "node:crypto";
import { generateDirectory } from "../../../src/local/simulator/directory/generator.ts";
import { createDirectory } from "../../../src/local/simulator/directory/memory-directory.ts";
import type { DirectoryState } from "../../../src/local/simulator/directory/state.ts";
import { createGraph } from "../../../src/local/simulator/graph/graph.ts";
import type { SubscriptionNeeds } from "../../../src/local/simulator/graph/subscriptions.ts";
import type { TraitChanges } from "../../../src/local/simulator/graph/switches.ts";
import type { Tenant, World } from "../../../src/local/simulator/world.ts";
import { foundGroup } from "../../support/group-mutations.ts";

export { microsoft365 } from "../../support/group-mutations.ts";

export type Json = Record<string, unknown>;

export interface Answer {
  status: number;
  headers: Record<string, string>;
  body: Json;
  text: string;
  wire: string | undefined;
}

export const tid = "11111111-2222-4333-8444-555555555555";
export const reader = ["User.Read.All", "GroupMember.Read.All", "Organization.Read.All"];
const graphUrl = "https://localhost:7444/v1.0";

export interface SceneOptions {
  seed?: number;
  users?: number;
  groups?: number;
  traits?: TraitChanges;
  linkKey?: Buffer;
  directory?: DirectoryState;
  now?: () => number;
  subscriptions?: SubscriptionNeeds;
}

export const guid = (number: number): string => `00000000-0000-4000-8000-${number.toString(16).padStart(12, "0")}`;

export const user = (number: number, properties: Json = {}, managerId: string | null = null) => ({
  op: "create-user" as const,
  user: {
    id: guid(number),
    properties: {
      userPrincipalName: `user${number}@contoso.example`,
      displayName: `User ${number}`,
      accountEnabled: true,
      mailNickname: `user${number}`,
      ...properties,
    },
    managerId,
  },
});

export const group = (number: number, members: [string, "user" | "group"][] = [], properties: Json = {}) =>
  foundGroup(guid(number), { displayName: `Group ${number}`, mailNickname: `group${number}`, ...properties }, members);

export const graphScene = (options: SceneOptions = {}) => {
  const { seed = 1, users = 0, groups = 0, linkKey = randomBytes(32) } = options;
  let directory = options.directory;
  if (!directory) {
    const memory = createDirectory();
    if (users > 0) memory.load(generateDirectory({ seed, users, groups, domain: "contoso.example" }));
    directory = memory;
  }
  const tenants = new Map<string, Tenant>([[tid, tenantOf(tid, directory)]]);
  const world: World = { registrations: new Map(), tenants, now: options.now ?? (() => Date.now()) };
  const graph = createGraph(world, {
    url: () => graphUrl,
    linkKey,
    seed,
    verifyToken: (authorization) => (authorization ? JSON.parse(authorization) : null),
    ...(options.subscriptions ? { subscriptions: options.subscriptions } : {}),
  });
  if (options.traits) graph.switches.set(tid, options.traits);

  const ask = async (path: string, extra: Asking = {}): Promise<Answer> => {
    const { roles = reader, tenant = tid, clientId = "app", method = "GET", headers = {}, body = "" } = extra;
    const response = await graph.handle({
      method,
      url: new URL(path.startsWith("http") ? path : `${graphUrl}${path}`),
      headers: { authorization: JSON.stringify({ tid: tenant, clientId, roles }), ...headers },
      body,
    });
    const text = typeof response.body === "string" ? response.body : JSON.stringify(response.body ?? "");
    const isJson = response.headers?.["Content-Type"]?.startsWith("application/json") ?? false;
    return {
      status: response.status,
      headers: response.headers ?? {},
      body: isJson ? JSON.parse(text) : {},
      text,
      wire: response.wire,
    };
  };
  return {
    directory,
    world,
    graph,
    ask,
    addTenant: (id: string, state: DirectoryState) => tenants.set(id, tenantOf(id, state)),
  };
};

interface Asking {
  roles?: string[];
  tenant?: string;
  clientId?: string;
  method?: string;
  headers?: Record<string, string>;
  body?: string;
}

const tenantOf = (id: string, directory: DirectoryState): Tenant => ({
  tid: id,
  displayName: "Contoso",
  verifiedDomains: ["contoso.example"],
  directory,
  accounts: [],
  grants: new Map(),
  disabledApps: new Set(),
  subscriptions: new Map(),
  gone: false,
});

export type Ask = ReturnType<typeof graphScene>["ask"];

export interface RoundRead {
  pages: Json[][];
  entries: Json[];
  deltaLink: string;
}

/** Follows links to the end of a round; `between` runs before each further page. */
export const readRound = async (
  ask: Ask,
  start: string,
  between?: (page: number) => void,
  roles = reader,
): Promise<RoundRead> => {
  const pages: Json[][] = [];
  for (let link = start; ; ) {
    const { status, body, text } = await ask(link, { roles });
    if (status !== 200) throw new Error(`${status} ${text}`);
    const next = body["@odata.nextLink"];
    const delta = body["@odata.deltaLink"];
    if ((next === undefined) === (delta === undefined)) throw new Error("A page has exactly one link");
    pages.push(entriesOf(body));
    if (typeof delta === "string") return { pages, entries: pages.flat(), deltaLink: delta };
    if (pages.length > 5000) throw new Error("The chain has no end");
    link = String(next);
    between?.(pages.length);
  }
};

export const entriesOf = (body: Json): Json[] => (Array.isArray(body["value"]) ? body["value"] : []);
export const related = (entry: Json, name: string): Json[] => {
  const list = entry[name];
  return Array.isArray(list) ? list : [];
};
export const isRemoved = (entry: Json): boolean => entry["@removed"] !== undefined;
export const idOf = (entry: Json): string => String(entry["id"]).toLowerCase();

export const userSelect =
  "id,displayName,mail,jobTitle,department,userPrincipalName,businessPhones,accountEnabled,manager";
export const groupSelect = "id,displayName,description,groupTypes,visibility,members";
