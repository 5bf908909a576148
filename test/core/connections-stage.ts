/** A database in memory, keys in a map, a Microsoft that says what a test tells it to, and every use-case built on them. */
import { randomBytes } from "node:crypto";
import { monotonicFactory } from "ulid";
import { accessStore } from "../../src/adapters/cosmos/access-store.ts";
import { type CosmosHandles, openCosmos } from "../../src/adapters/cosmos/client.ts";
import { connectionIndex } from "../../src/adapters/cosmos/connection-index.ts";
import { consumerStore } from "../../src/adapters/cosmos/consumer-store.ts";
import { directoryStore } from "../../src/adapters/cosmos/directory-store.ts";
import { handshakeStore } from "../../src/adapters/cosmos/handshake-store.ts";
import { subscriptionLedger } from "../../src/adapters/cosmos/subscription-ledger.ts";
import { webhookStore } from "../../src/adapters/cosmos/webhook-store.ts";
import { makeAccessLog } from "../../src/core/audit/access-log.ts";
import { entriesOf, openActor, openChanges, plainEntry } from "../../src/core/audit/change-log.ts";
import { changeConnection } from "../../src/core/connections/change.ts";
import { readBlacklist, replaceBlacklist, uploadBlacklist } from "../../src/core/connections/change-blacklist.ts";
import { changeSettings, readSettings } from "../../src/core/connections/change-settings.ts";
import { closeConnection, restoreConnection } from "../../src/core/connections/close.ts";
import { CreateConnection, createConnection } from "../../src/core/connections/create.ts";
import { finishClosing } from "../../src/core/connections/finish-closing.ts";
import { contextFor, openConnection } from "../../src/core/connections/open.ts";
import { changeProductGroups, listProductGroups } from "../../src/core/connections/product-groups.ts";
import { listConnections, readConnection } from "../../src/core/connections/read.ts";
import {
  listSettingsVersions,
  readSettingsVersion,
  restoreSettings,
} from "../../src/core/connections/settings-versions.ts";
import type { Tier } from "../../src/core/connections/tiers.ts";
import { updateConnection } from "../../src/core/connections/update.ts";
import { consentCallback } from "../../src/core/consent/approve.ts";
import { completeConsent } from "../../src/core/consent/complete.ts";
import { continueConnect, showConnect } from "../../src/core/consent/connect.ts";
import type { ConsentGateway, SignedIn } from "../../src/core/consent/ports.ts";
import { reviewTiers } from "../../src/core/consent/review.ts";
import { showPermissions } from "../../src/core/consent/show-permissions.ts";
import { signInCallback } from "../../src/core/consent/sign-in.ts";
import { startConsent } from "../../src/core/consent/start.ts";
import type { Caller } from "../../src/core/context.ts";
import { makeKeys } from "../../src/core/crypto/keys.ts";
import type { WorkerNeeds } from "../../src/core/directory/run/round.ts";
import { work } from "../../src/core/directory/run/worker.ts";
import { AppError } from "../../src/core/errors.ts";
import type { ConnectionDoc } from "../../src/core/store/documents.ts";
import type { Hint } from "../../src/core/store/ports.ts";
import { startCosmos } from "../../src/local/cosmos/server.ts";
import { memorySecrets } from "../support/memory-secrets.ts";

export { codeOf } from "../support/code-of.ts";

export const returnUrl = "https://product.example/settings/microsoft?tab=1";
export const tenantA = "aaaaaaaa-0000-4000-8000-000000000001";
export const tenantB = "bbbbbbbb-0000-4000-8000-000000000002";
export const globalAdministrator = "62e90394-69f5-4237-9190-012177145e10";
export const readRoles = ["User.Read.All", "GroupMember.Read.All", "Organization.Read.All"];

export const caller = (workspaceId = "acme", subject = "alice"): Caller => ({
  workspaceId,
  subject,
  permissions: new Set(["integration:setup", "integration:read"]),
  ip: "192.0.2.1",
  correlationId: "correlation-1",
});

const makeAmbient = () => {
  let offset = 0;
  let frozen: number | null = null;
  const ulid = monotonicFactory();
  return {
    now: () => frozen ?? Date.now() + offset,
    /** Stops time while `work` goes on. */
    frozen: async <T>(during: () => Promise<T>): Promise<T> => {
      frozen = Date.now() + offset;
      return during().finally(() => {
        frozen = null;
      });
    },
    randomBytes: (count: number) => randomBytes(count),
    ulid: () => ulid().toLowerCase(),
    advance: (milliseconds: number) => {
      offset += milliseconds;
    },
  };
};

/** What the simulated Microsoft knows; a test changes it. */
export class FakeMicrosoft implements ConsentGateway {
  readonly signInOrigin = "https://login.example";
  offered: readonly Tier[] = ["read", "write", "signIn"];
  person: SignedIn;
  granted: string[] = [];
  /** Errors that come before the roles do. */
  rolesFailures: AppError[] = [];
  /** What tokens for a tier are refused with, as long as it stands here. */
  refusals: Partial<Record<Tier, AppError>> = {};
  organizationId: string | null = null;
  failure: AppError | null = null;
  asked: string[] = [];

  constructor(now: () => number) {
    this.person = {
      tid: tenantA,
      oid: "cccccccc-0000-4000-8000-000000000003",
      name: "Ada Minh",
      preferredUsername: "ada@fabrikam.example",
      wids: [globalAdministrator],
      acct: 0,
      idp: null,
      iss: `https://login.example/${tenantA}/v2.0`,
      authTime: Math.floor(now() / 1000),
    };
  }
  clientId(tier: Tier): string | null {
    return this.offered.includes(tier) ? `client-${tier}` : null;
  }
  signInUrl(tier: Tier, request: { state: string; nonce: string; verifier: string; prompt: string }): Promise<URL> {
    const { state, nonce, prompt } = request;
    return Promise.resolve(
      new URL(`https://login.example/authorize?${new URLSearchParams({ tier, state, nonce, prompt }).toString()}`),
    );
  }
  redeem(): Promise<SignedIn> {
    this.asked.push("redeem");
    return this.failure ? Promise.reject(this.failure) : Promise.resolve(this.person);
  }
  adminConsentUrl(tier: Tier, tid: string, state: string): URL {
    return new URL(`https://login.example/${tid}/adminconsent?${new URLSearchParams({ tier, state }).toString()}`);
  }
  roles(tier: Tier, tid: string): Promise<string[]> {
    this.asked.push(`roles ${tier} ${tid}`);
    const failure = this.rolesFailures.shift() ?? this.refusals[tier];
    return failure ? Promise.reject(failure) : Promise.resolve(this.granted);
  }
  organization({ tid }: { tid: string }): Promise<{ id: string }> {
    this.asked.push(`organization ${tid}`);
    return Promise.resolve({ id: this.organizationId ?? tid });
  }
}

export type Stage = Awaited<ReturnType<typeof openStage>>;

export const openStage = async (gatewayOf?: (now: () => number, cosmos: CosmosHandles) => ConsentGateway) => {
  const ambient = makeAmbient();
  const server = await startCosmos({ file: ":memory:", now: ambient.now });
  const cosmos: CosmosHandles = openCosmos(server);
  const store = directoryStore(cosmos.directory);
  const index = connectionIndex(cosmos.connections);
  const handshakes = handshakeStore(cosmos.handshakes);
  const secrets = memorySecrets();
  const keys = makeKeys({ ambient, secrets, store, handshakes });
  const access = makeAccessLog({ ambient, keys, store: accessStore(cosmos.access) });
  const microsoft = new FakeMicrosoft(ambient.now);
  const gateway = gatewayOf?.(ambient.now, cosmos) ?? microsoft;
  const hinted: Hint[] = [];
  const waited: number[] = [];
  const needs = {
    ambient,
    store,
    index,
    consumers: consumerStore(cosmos.state),
    ledger: subscriptionLedger(cosmos.shared),
    webhooks: webhookStore(cosmos.state),
    handshakes,
    secrets,
    keys,
    access,
    gateway,
    offers: (tier: Tier) => gateway.clientId(tier) !== null,
    hints: { send: (hint: Hint) => Promise.resolve(void hinted.push(hint)) },
    publicBaseUrl: "https://sync.example",
    returnOrigins: ["https://product.example"],
    wait: (milliseconds: number): Promise<void> => Promise.resolve(void waited.push(milliseconds)),
    leaseMilliseconds: 60_000,
    sliceMilliseconds: 60_000,
  };
  const cases = {
    create: createConnection(needs),
    list: listConnections(needs),
    read: readConnection(needs),
    update: updateConnection(needs),
    close: closeConnection(needs),
    restore: restoreConnection(needs),
    finishClosing: finishClosing(needs),
    readSettings: readSettings(needs),
    changeSettings: changeSettings(needs),
    listVersions: listSettingsVersions(needs),
    readVersion: readSettingsVersion(needs),
    restoreSettings: restoreSettings(needs),
    readBlacklist: readBlacklist(needs),
    replaceBlacklist: replaceBlacklist(needs),
    uploadBlacklist: uploadBlacklist(needs),
    listProductGroups: listProductGroups(needs),
    changeProductGroups: changeProductGroups(needs),
    start: startConsent(needs),
    show: showConnect(needs),
    continue: continueConnect(needs),
    signIn: signInCallback(needs),
    consent: consentCallback(needs),
    complete: completeConsent(needs),
    permissions: showPermissions(needs),
    open: openConnection(needs),
  };
  /** Whoever asks the directory for anything is found out. */
  const worker: WorkerNeeds = {
    ...needs,
    source: new Proxy({} as WorkerNeeds["source"], {
      get: (_, property) => {
        throw new Error(`the directory was asked for: ${String(property)}`);
      },
    }),
    work: { put: () => Promise.reject(new Error("put")), get: () => Promise.resolve(null), drop: async () => {} },
    contextFor: contextFor(needs),
    selfTest: () => Promise.reject(new Error("self-test")),
    reviewTiers: reviewTiers({ ...needs, contextFor: contextFor(needs) }),
    finishClosing: async () => {},
    finishErasing: async () => {},
  };
  const draft = (who = caller(), displayName = "Head office", access: object = {}) =>
    cases.create(who, CreateConnection.parse({ displayName, access: { read: true, ...access } }));

  return {
    ambient,
    server,
    cosmos,
    store,
    index,
    secrets,
    access,
    microsoft,
    hinted,
    waited,
    needs,
    cases,
    draft,
    /** A worker follows a hint, without a directory to read. */
    work: (connectionId: string) => work(worker)({ connectionId, receivedAt: ambient.now() }),
    /** The entries of the connection's log, opened. */
    log: async (connectionId: string) => {
      const ring = await needs.keys.ring(connectionId);
      const docs = await store.log(connectionId, 0, 100);
      return docs.flatMap(entriesOf).map((entry) => ({
        kind: entry.kind,
        op: entry.op,
        object: entry.object,
        cause: entry.cause,
        evidence: entry.evidence,
        changes: openChanges(ring.sealing, connectionId, entry),
        actor: entry.actor ? openActor(ring, connectionId, { ...entry, actor: entry.actor }) : null,
      }));
    },
    close: async () => {
      cosmos.dispose();
      await server.close();
    },
  };
};

export const browserCookie = "c".repeat(43);
export const visitor = { cookie: browserCookie, ip: "198.51.100.7", correlationId: "correlation-2" };

/** The query that Microsoft would send the browser back with. */
export const answerTo = (redirect: string, answer: Record<string, string>): URLSearchParams =>
  new URLSearchParams({ state: new URL(redirect).searchParams.get("state") ?? "", ...answer });

/** As far as Microsoft's sign-in page. */
export const asFarAsSignIn = async (
  stage: Stage,
  connectionId: string,
  who = caller(),
  tier: Tier = "read",
): Promise<string> => {
  const { connectUrl } = await stage.cases.start(who, connectionId, { tier, returnUrl });
  return (await stage.cases.continue(connectUrl.split("/").at(-1) ?? "", browserCookie)).redirect;
};

export const signedIn = { code: "microsofts-code" };
export const approved = (tid: string) => ({ admin_consent: "True", tenant: tid });

/** Through both callbacks; the address in the product that the browser ends at. */
export const approve = async (
  stage: Stage,
  connectionId: string,
  who = caller(),
  tier: Tier = "read",
): Promise<URL> => {
  const signIn = await asFarAsSignIn(stage, connectionId, who, tier);
  const { redirect } = await stage.cases.signIn(answerTo(signIn, signedIn), visitor);
  if (redirect.startsWith("https://product.example")) return new URL(redirect);
  const answer = answerTo(redirect, approved(stage.microsoft.person.tid));
  return new URL((await stage.cases.consent(answer, visitor)).redirect);
};

/** As if its setup had been finished: the schedule may begin. */
export const setUp = (stage: Stage, connectionId: string): Promise<void> =>
  edit(stage, connectionId, (doc) => ({ ...doc, wizard: { ...doc.wizard, finishedAt: doc.createdAt } }));

/** An active connection, whose setup is finished. */
export const connected = async (stage: Stage, who = caller(), displayName = "Head office", access: object = {}) => {
  stage.microsoft.granted = [...new Set([...stage.microsoft.granted, ...readRoles])];
  const { id } = await stage.draft(who, displayName, access);
  await setUp(stage, id);
  const ended = await approve(stage, id, who);
  return stage.cases.complete(who, id, { code: ended.searchParams.get("code") ?? "" });
};

/** The problem code that a call ends with, or `none`. */
/** Changes the connection document as the worker would. */
export const edit = async (
  stage: Stage,
  connectionId: string,
  change: (doc: ConnectionDoc) => ConnectionDoc,
): Promise<void> => {
  const doc = await stage.store.read(connectionId, "connection", "connection");
  if (!doc) throw new Error("there is no such connection");
  const entry = plainEntry(stage.needs.ambient, {
    kind: "connection",
    op: "updated",
    object: "connection",
    cause: "run",
  });
  await changeConnection(stage.needs)(doc, (current) => {
    const changed = change(current);
    return { doc: changed, entries: changed.state === "closing" ? [entry] : [] };
  });
};
