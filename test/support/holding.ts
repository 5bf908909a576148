/** Connections of several workspaces, each with everything that only it has: what no other may ever see. */
import { type Answer, type Caller, connect, expectStatus, runNow, settled } from "./api.ts";
import type { TestStack } from "./stack.ts";

/** A connection, and what only it has. */
export interface Holding {
  call: Caller;
  workspace: string;
  tid: string;
  id: string;
  name: string;
  person: string;
  run: string;
  consumer: string;
  /** Two groups with members enough for two pages. */
  groups: [string, string];
  /** Ids, names and hashes that nothing else may ever show. */
  words: string[];
  /** Addresses and object ids of the tenant's people. */
  addresses: string[];
}

export const itemsOf = (answer: Answer): Record<string, unknown>[] =>
  Array.isArray(answer.body.items) ? answer.body.items : [];
export const textOf = (value: unknown): string => (typeof value === "string" ? value : "");

export const hold = async (
  stack: TestStack,
  workspace: string,
  call: Caller,
  name: string,
  tenant: Tenant,
): Promise<Holding> => {
  const id = await connect(call, name, tenant.administrator);
  const path = `/connections/${id}`;
  await settled(call, id);
  const read = (route: string) => expectStatus(200, call("GET", `${path}${route}`));
  const people = itemsOf(await read("/people?limit=200")).map((person) => textOf(person.id));
  const productUserId = `product-user-of-${id}`;
  await expectStatus(200, call("PUT", `${path}/people/${people[0]}/product-user`, { body: { productUserId } }));
  const consumer = `consumer-of-${id}`;
  await expectStatus(200, call("POST", `${path}/changes/ack`, { body: { consumer, sequence: 1 } }));
  await runNow(call, id);
  const runs = itemsOf(await read("/runs")).map((run) => textOf(run.id));
  const changes = await read("/changes?limit=200");
  const groups: string[] = [];
  for (const { id: group } of itemsOf(await read("/groups?limit=200")))
    if (itemsOf(await read(`/groups/${textOf(group)}/members`)).length > 1) groups.push(textOf(group));
  const [first = "", second = ""] = groups;
  const { strings } = await stack.simulator.command("personal-strings", { tid: tenant.tid });
  return {
    call,
    workspace,
    tid: tenant.tid,
    id,
    name,
    person: people[0] ?? "",
    run: runs[0] ?? "",
    consumer,
    groups: [first, second],
    words: [
      id,
      name,
      productUserId,
      textOf(changes.body.chain),
      ...people,
      ...runs,
      ...itemsOf(changes).map((change) => textOf(change.id)),
    ],
    addresses: strings.filter((text) => text.includes(`@${tenant.domain}`) || /^[0-9a-f-]{36}$/.test(text)),
  };
};

export interface Tenant {
  tid: string;
  domain: string;
  administrator: string;
}

export const makeTenant = async (stack: TestStack, seed: number): Promise<Tenant> => {
  const domain = `t${seed}.example`;
  const made = await stack.simulator.command("create-tenant", { users: 40, groups: 12, seed, domain });
  return { tid: made.tid, domain, administrator: made.accounts[0]?.objectId ?? "" };
};
