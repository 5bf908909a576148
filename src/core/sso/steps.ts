/**
 * The steps of one sign-in, each behind a secret of its own:
 *
 *   attempt (state at Microsoft) -> [choice, when several connections fit] -> code (redeemed by the application) -> access
 */
import { oneTime } from "../one-time.ts";
import type { Identity } from "./identity.ts";
import type { SignedInPerson } from "./ports.ts";
import type { Scope } from "./request.ts";

/** What the answer to the application depends on. */
export interface Asked {
  clientId: string;
  redirectUri: string;
  state: string | null;
  nonce: string | null;
  challenge: string;
  scopes: Scope[];
}

export interface Steps {
  /** `tid` is the tenant that is expected, `connection` null when a domain named it; `browser` is the hash of the cookie. */
  attempt: {
    asked: Asked;
    tid: string;
    connection: string | null;
    browser: string;
    nonce: string;
    verifier: string;
    silent: boolean;
    /** The sign-in must be younger; null: any will do. Seconds since 1970. */
    authenticatedAfter: number | null;
    maxAgeSeconds: number | null;
    /** A fresh one has been asked for already. */
    repeated: boolean;
  };
  choice: { asked: Asked; person: SignedInPerson; browser: string; connections: string[] };
  code: { asked: Omit<Asked, "state">; identity: Identity };
  access: { clientId: string; identity: Identity };
}

const attemptMilliseconds = 600_000;
const codeMilliseconds = 60_000;
/** An access token is good for the identity of its person and nothing else. */
export const accessSeconds = 300;

const lifetimes: Readonly<Record<keyof Steps, number>> = {
  attempt: attemptMilliseconds,
  choice: attemptMilliseconds,
  code: codeMilliseconds,
  access: accessSeconds * 1000,
};

export const { begin, look, find, consume } = oneTime<Steps>({
  kind: () => "sso",
  milliseconds: (step) => lifetimes[step],
  unusable: "sign-in-attempt-unusable",
});
