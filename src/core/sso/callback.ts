/**
 * Microsoft sends the browser back. The state is spent before anything is redeemed; the account must be of the tenant that the
 * attempt expects and admitted by the connection. Then the application gets a one-time code, or is told why not.
 */
import type { AccessLog, AccessRecord } from "../audit/access-log.ts";
import { openName } from "../connections/name.ts";
import type { OpenNeeds } from "../connections/open.ts";
import { sameBrowser } from "../consent/handshakes.ts";
import type { Visitor } from "../consent/sign-in.ts";
import { noteUse } from "../consent/usage.ts";
import { personId } from "../crypto/key-ring.ts";
import { AppError, type ProblemCode } from "../errors.ts";
import type { OneTimeNeeds } from "../one-time.ts";
import { ids } from "../store/documents.ts";
import type { TenantIndex } from "../store/ports.ts";
import { admission } from "./admission.ts";
import { upstream } from "./authorize.ts";
import type { SsoClient } from "./clients.ts";
import { identityOf } from "./identity.ts";
import { type Candidate, type NewcomerNeeds, withoutNewcomer } from "./newcomer.ts";
import { asOAuthError, OAuthError, type OAuthErrorCode } from "./oauth-error.ts";
import type { SignedInPerson, SignInGateway } from "./ports.ts";
import { answerTo, refusalTo } from "./request.ts";
import { type Asked, begin, consume, find, type Steps } from "./steps.ts";
import { type UsableConnection, usableConnection } from "./usable.ts";

export interface CallbackNeeds extends OneTimeNeeds, OpenNeeds, NewcomerNeeds {
  store: NewcomerNeeds["store"];
  keys: OneTimeNeeds["keys"] & OpenNeeds["keys"];
  signIns: SignInGateway;
  tenants: Pick<TenantIndex, "connectionsOf" | "remove">;
  access: Pick<AccessLog, "record">;
  ssoClients: readonly SsoClient[];
  issuer: string;
}

export type Return =
  | { kind: "redirect"; redirect: string; refusal: OAuthError | null }
  /** Several connections fit: the person says which one is meant. */
  | { kind: "choice"; secret: string; options: { connection: string; name: string }[] };

/** Throws only when the attempt itself is unusable or belongs to another browser: then there is nobody to answer. */
export const microsoftCallback =
  (needs: CallbackNeeds) =>
  async (query: URLSearchParams, visitor: Visitor): Promise<Return> => {
    const state = query.get("state") ?? "";
    const found = await find(needs)("attempt", state);
    const { content } = found;
    if (!sameBrowser(content, visitor.cookie)) throw new AppError("sign-in-attempt-unusable");
    const client = clientOf(needs, content.asked);
    await consume(needs)(found);
    const arrival = { client, asked: content.asked, visitor, record: recordIn(needs, visitor, content.asked) };
    let proven: SignedInPerson | null = null;
    try {
      if (query.has("error")) throw fromMicrosoft(query.get("error") ?? "", content.silent);
      const { tid, nonce, verifier } = content;
      const person = await needs.signIns.redeem({ tid, query, state, nonce, verifier });
      if (person.tid !== tid) throw new AppError("sign-in-failed");
      proven = person;
      if (isTooOld(content, person, needs.ambient.now())) {
        if (content.silent) throw new OAuthError("login_required", "sign-in-too-old");
        if (content.repeated) throw new AppError("sign-in-too-old");
        const again = { prompt: "login", loginHint: person.preferredUsername || null, maxAgeSeconds: null } as const;
        const redirect = await upstream(needs)({ ...content, repeated: true }, again);
        return { kind: "redirect", redirect, refusal: null };
      }
      return await admit(needs, content, person, arrival);
    } catch (error) {
      const refusal = asOAuthError(error);
      const usable = content.connection === null ? null : await usableConnection(needs)(client, content.connection);
      if (usable) await recordFailure(arrival, usable, proven, error);
      return { kind: "redirect", redirect: refusalTo(content.asked, needs.issuer, refusal), refusal };
    }
  };

/** The person's own word among connections that have admitted the account, each of which is asked again. */
export const chooseConnection =
  (needs: CallbackNeeds) =>
  async (
    secret: string,
    connection: string,
    visitor: Visitor,
  ): Promise<{ redirect: string; refusal: OAuthError | null }> => {
    const found = await find(needs)("choice", secret);
    const { asked, person, connections } = found.content;
    if (!sameBrowser(found.content, visitor.cookie)) throw new AppError("sign-in-attempt-unusable");
    const client = clientOf(needs, asked);
    await consume(needs)(found);
    const arrival = { client, asked, visitor, record: recordIn(needs, visitor, asked) };
    const usable = connections.includes(connection) ? await usableConnection(needs)(client, connection) : null;
    try {
      if (usable?.tid !== person.tid) throw new AppError("sign-in-not-offered");
      const verdict = await admission(needs)(usable, person);
      return { redirect: await letIn(needs, person, { usable, verdict }, arrival), refusal: null };
    } catch (error) {
      const refusal = asOAuthError(error);
      if (usable) await recordFailure(arrival, usable, person, error);
      return { redirect: refusalTo(asked, needs.issuer, refusal), refusal };
    }
  };

/** A client that was taken out of the settings meanwhile is no longer answered. */
const clientOf = ({ ssoClients }: Pick<CallbackNeeds, "ssoClients">, { clientId, redirectUri }: Asked): SsoClient => {
  const client = ssoClients.find((known) => known.clientId === clientId && known.redirectUris.includes(redirectUri));
  if (!client) throw new AppError("sign-in-attempt-unusable");
  return client;
};

/** Who waits for the answer, and how it is recorded. */
interface Arrival {
  client: SsoClient;
  asked: Asked;
  visitor: Visitor;
  record: Recorder;
}

/** So many connections of one tenant are looked at, the newest. */
const maxCandidates = 20;

const admit = async (
  needs: CallbackNeeds,
  { tid, connection, browser }: Steps["attempt"],
  person: SignedInPerson,
  arrival: Arrival,
): Promise<Return> => {
  const { client, asked } = arrival;
  const listed = connection === null ? (await needs.tenants.connectionsOf(tid)).slice(-maxCandidates) : [connection];
  const candidates: Candidate[] = [];
  let trouble: AppError | null = null;
  for (const id of listed) {
    try {
      const usable = await usableConnection(needs)(client, id);
      if (usable?.tid === tid) candidates.push({ usable, verdict: await admission(needs)(usable, person) });
      else if (!usable && (await needs.store.read(id, "connection", ids.connection)) === null)
        await needs.tenants.remove(tid, id);
    } catch (error) {
      if (!(error instanceof AppError)) throw error;
      // Another workspace's connection that cannot be asked now keeps nobody out of this one's.
      trouble ??= error;
    }
  }
  const admitted = candidates.filter(({ verdict }) => verdict.refusal === null);
  if (admitted.length === 0 && trouble) throw trouble;
  const [first = candidates[0]] = admitted;
  if (!first) throw new AppError("sign-in-not-offered");
  if (admitted.length <= 1)
    return { kind: "redirect", redirect: await letIn(needs, person, first, arrival), refusal: null };
  const options = admitted.map(({ usable: { doc, context } }) => ({
    connection: doc.connectionId,
    name: openName(context.ring, doc),
  }));
  const { secret } = await begin(needs)("choice", {
    asked,
    person,
    browser,
    connections: options.map((option) => option.connection),
  });
  return { kind: "choice", secret, options };
};

/** Address of the application with a one-time code. The record is written before. */
const letIn = async (
  needs: CallbackNeeds,
  person: SignedInPerson,
  candidate: Candidate,
  { client, asked: { state, ...asked }, visitor, record }: Arrival,
): Promise<string> => {
  const { usable, verdict } = await withoutNewcomer(needs)(client, candidate, person, visitor);
  const subject = `person:${verdict.person}`;
  if (verdict.refusal !== null) {
    await record(usable, { what: "refused", subject, refusal: verdict.refusal });
    throw new Recorded(verdict.refusal);
  }
  await record(usable, { what: "sign-in", subject });
  await noteUse(needs)(usable.doc.connectionId, "signIn");
  const { workspaceId, connectionId } = usable.doc;
  const identity = identityOf(person, asked.scopes, {
    workspace: workspaceId,
    connection: connectionId,
    ...(verdict.synchronised ? { person: verdict.person } : {}),
    ...(verdict.productUser === null ? {} : { product_user: verdict.productUser }),
  });
  const { secret: code } = await begin(needs)("code", { asked, identity });
  return answerTo({ redirectUri: asked.redirectUri, state }, needs.issuer, { code });
};

/** Its refusal is in the access log already. */
class Recorded extends AppError {}

/** `who` is null when Microsoft did not prove who it was. */
const recordFailure = async (
  { record }: Arrival,
  usable: UsableConnection,
  who: SignedInPerson | null,
  error: unknown,
): Promise<void> => {
  if (error instanceof Recorded) return;
  const subject = who ? `person:${personId(usable.context.ring, who.oid)}` : "unproven";
  await record(usable, { what: "refused", subject, refusal: asOAuthError(error).description });
};

type Recorder = (usable: UsableConnection, record: Pick<AccessRecord, "what" | "subject" | "refusal">) => Promise<void>;

const recordIn =
  ({ access }: Pick<CallbackNeeds, "access">, { ip, correlationId }: Visitor, { clientId }: Asked): Recorder =>
  ({ doc }, record) =>
    access.record(doc.workspaceId, {
      ...record,
      route: `sso.${clientId}`,
      ip,
      connectionId: doc.connectionId,
      correlationId,
    });

/** Clocks of Microsoft and ours may differ by so much. */
const skewSeconds = 300;

/** What is not known is too old. */
const isTooOld = (
  { authenticatedAfter, maxAgeSeconds }: Pick<Steps["attempt"], "authenticatedAfter" | "maxAgeSeconds">,
  { authTime }: SignedInPerson,
  now: number,
): boolean => {
  const oldest = Math.max(
    authenticatedAfter ?? Number.NEGATIVE_INFINITY,
    maxAgeSeconds === null ? Number.NEGATIVE_INFINITY : now / 1000 - maxAgeSeconds,
  );
  if (oldest === Number.NEGATIVE_INFINITY) return false;
  return authTime === null || authTime < oldest - skewSeconds || authTime > now / 1000 + skewSeconds;
};

const passedOn: readonly OAuthErrorCode[] = [
  "login_required",
  "interaction_required",
  "consent_required",
  "account_selection_required",
];

/** What Microsoft says beyond the code may name people and is dropped. */
const fromMicrosoft = (error: string, silent: boolean): OAuthError => {
  const known = silent ? passedOn.find((code) => code === error) : undefined;
  if (known !== undefined) return new OAuthError(known, "Microsoft needs the person");
  if (error === "server_error" || error === "temporarily_unavailable")
    return new OAuthError("temporarily_unavailable", "sign-in-unavailable");
  return new OAuthError("access_denied", "sign-in-failed" satisfies ProblemCode);
};
