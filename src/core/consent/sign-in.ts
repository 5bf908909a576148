/**
 * Microsoft sends the browser back from the sign-in. The state is spent before the code is redeemed; then the account has to be
 * an administrator's, and the browser goes on to approve in the tenant of that account and in no other.
 */
import type { AccessLog } from "../audit/access-log.ts";
import { type OpenNeeds, openConnection, tenantInUse } from "../connections/open.ts";
import { AppError, type ProblemCode } from "../errors.ts";
import { judgeAdministrator } from "./administrator.ts";
import { isAskedFor, signInAddress } from "./connect.ts";
import {
  type Administrator,
  type Asked,
  backTo,
  begin,
  consume,
  find,
  type HandshakeNeeds,
  sameBrowser,
} from "./handshakes.ts";
import type { ConsentGateway } from "./ports.ts";

/** The browser of somebody who has no account with us. */
export interface Visitor {
  cookie: string | undefined;
  ip: string;
  correlationId: string;
}

export interface SignInNeeds extends HandshakeNeeds, OpenNeeds {
  keys: HandshakeNeeds["keys"] & OpenNeeds["keys"];
  gateway: Pick<ConsentGateway, "signInUrl" | "redeem" | "adminConsentUrl">;
  access: AccessLog;
}

/** Throws only when the attempt itself is unusable or belongs to another browser: then there is no place to send it back to. */
export const signInCallback =
  (needs: SignInNeeds) =>
  async (query: URLSearchParams, visitor: Visitor): Promise<{ redirect: string }> => {
    const state = query.get("state") ?? "";
    const found = await find(needs)("sign-in", state);
    const { content } = found;
    if (!sameBrowser(content, visitor.cookie)) throw new AppError("consent-attempt-unusable");
    await consume(needs)(found);
    const { nonce, verifier, browser, repeated, ...asked } = content;
    try {
      if (query.has("error"))
        throw new AppError(query.get("error") === "access_denied" ? "consent-declined" : "consent-sign-in-failed");
      const person = await needs.gateway.redeem(asked.tier, { query, state, nonce, verifier });
      const judgement = judgeAdministrator(asked.tier, person, needs.ambient.now());
      if (judgement.verdict === "refused") throw new AppError(judgement.code);
      if (judgement.verdict === "stale") {
        if (repeated) throw new AppError("consent-sign-in-failed");
        return { redirect: await signInAddress(needs)(asked, browser, true) };
      }
      const { doc } = await openConnection(needs)(asked.workspaceId, asked.connectionId);
      if (!isAskedFor(doc, asked.tier)) throw new AppError("state-conflict");
      if ((tenantInUse(doc) ?? person.tid) !== person.tid) throw new AppError("consent-wrong-tenant");

      const administrator: Administrator = {
        tid: person.tid,
        oid: person.oid,
        name: person.name,
        userPrincipalName: person.preferredUsername,
      };
      await recordVisit(needs, asked, visitor, { what: "sign-in", subject: administratorSubject(administrator) });
      const { secret } = await begin(needs)("consent", { ...asked, browser, administrator });
      return { redirect: needs.gateway.adminConsentUrl(asked.tier, person.tid, secret).href };
    } catch (error) {
      if (!(error instanceof AppError)) throw error;
      // Who it was is not kept: only proven administrators are.
      await recordVisit(needs, asked, visitor, { what: "refused", subject: "unproven", refusal: error.code });
      return { redirect: failed(asked, error.code) };
    }
  };

export const administratorSubject = ({ tid, oid }: Pick<Administrator, "tid" | "oid">): string => `entra:${tid}:${oid}`;

export const isAdministratorOf = (tid: string | null, subject: string): boolean =>
  tid !== null && subject.startsWith(`entra:${tid}:`);

export const failed = (asked: Asked, code: ProblemCode, more: Readonly<Record<string, string>> = {}): string =>
  backTo(asked.returnUrl, { error: code, connection: asked.connectionId, ...more });

const visits = "connect.";

/** Whether a record of the access log is about somebody on the way to an approval. */
export const isVisit = (route: string): boolean => route.startsWith(visits);

export const recordVisit = (
  { access }: Pick<SignInNeeds, "access">,
  asked: Asked,
  { ip, correlationId }: Visitor,
  record: { what: "sign-in" | "refused"; subject: string; refusal?: ProblemCode },
): Promise<void> =>
  access.record(asked.workspaceId, {
    ...record,
    route: `${visits}${asked.tier}`,
    ip,
    connectionId: asked.connectionId,
    correlationId,
  });
