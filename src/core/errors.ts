/**
 * Every failure that a caller can see has one stable code. The kind says what the caller should do; the HTTP edge and the
 * queue edge map kinds, never codes. Messages hold no personal data and no secrets: they reach logs and telemetry.
 */
export type ErrorKind =
  | "invalid-input"
  | "unauthenticated"
  | "forbidden"
  | "not-consented"
  | "not-found"
  | "method-not-allowed"
  | "conflict"
  | "gone"
  | "precondition-failed"
  | "precondition-required"
  | "too-large"
  | "throttled"
  | "upstream-unavailable"
  | "misconfigured"
  | "internal";

interface Problem {
  kind: ErrorKind;
  title: string;
  /** One sentence for the person who has to act. */
  advice?: string;
}

/** The error catalogue. `docs/errors.md` and `/api/v1/openapi.json` are checked against it. */
export const problems = {
  "invalid-request": { kind: "invalid-input", title: "The request does not have the documented form." },
  "invalid-cursor": {
    kind: "invalid-input",
    title: "The cursor is not valid for this request.",
    advice: "Start again without a cursor.",
  },
  "invalid-ref": {
    kind: "invalid-input",
    title: "The reference to a person is not valid here, or no longer.",
    advice: "Search for the person again.",
  },
  "token-missing": { kind: "unauthenticated", title: "An access token is required." },
  "token-invalid": { kind: "unauthenticated", title: "The access token was not accepted." },
  "permission-missing": { kind: "forbidden", title: "The caller lacks a permission for this." },
  "person-required": {
    kind: "forbidden",
    title: "This takes a person: a program may not do it, whomever it acts for.",
    advice: "Send the access token of the person who decides.",
  },
  "sign-in-not-recent": {
    kind: "unauthenticated",
    title: "This takes somebody who has signed in a moment ago.",
    advice: "Sign in to the product again, then repeat it.",
  },
  "connection-not-found": { kind: "not-found", title: "There is no such data connection." },
  "person-not-found": { kind: "not-found", title: "There is no such person." },
  "group-not-found": { kind: "not-found", title: "There is no such group." },
  "second-person-required": {
    kind: "forbidden",
    title: "Whoever asked for the run or changed the settings last may not approve its plan.",
    advice: "Somebody else who may approve has to do it.",
  },
  "run-not-found": { kind: "not-found", title: "There is no such run." },
  "settings-version-not-found": { kind: "not-found", title: "There is no such version of the settings." },
  "consumer-not-found": { kind: "not-found", title: "There is no such consumer of the change feed." },
  "webhook-not-found": { kind: "not-found", title: "There is no such webhook endpoint." },
  "route-not-found": { kind: "not-found", title: "There is nothing at this address." },
  "method-not-allowed": { kind: "method-not-allowed", title: "This address does not answer to that method." },
  "editor-locked-out": {
    kind: "conflict",
    title: "Whoever changes the rights on a connection must keep the right to change them.",
    advice: "Grant integration:secure to yourself or to a role of yours.",
  },
  "name-taken": { kind: "conflict", title: "Another data connection of this workspace has that name." },
  "state-conflict": { kind: "conflict", title: "The connection is not in a state that allows this." },
  "setup-incomplete": {
    kind: "conflict",
    title: "The setup cannot be finished yet.",
    advice: "See which of its steps says what is missing.",
  },
  "run-in-progress": { kind: "conflict", title: "A run is already asked for or under way." },
  "plan-not-waiting": {
    kind: "conflict",
    title: "No plan with this hash is waiting for approval.",
    advice: "Read the run again.",
  },
  "plan-not-ready": {
    kind: "conflict",
    title: "The plan of this run is not made yet.",
    advice: "Wait until the run has ended or waits for approval.",
  },
  "product-user-taken": {
    kind: "conflict",
    title: "Another person of this connection is linked to that product user.",
  },
  "person-linked": {
    kind: "conflict",
    title: "The person is linked to another product user.",
    advice: "Change the link through the API.",
  },
  "product-group-in-use": {
    kind: "conflict",
    title: "The settings map a group onto a product group that would be gone.",
    advice: "Change the group mapping first.",
  },
  "too-many-consumers": {
    kind: "conflict",
    title: "The change feed has as many consumers as it may have.",
    advice: "Remove one that is no longer needed.",
  },
  "changed-meanwhile": {
    kind: "conflict",
    title: "Somebody else changed this at the same time.",
    advice: "Read it again and repeat.",
  },
  "etag-required": { kind: "precondition-required", title: "An If-Match header with the current ETag is required." },
  "etag-mismatch": { kind: "precondition-failed", title: "The object has changed since it was read." },
  "feed-too-old": {
    kind: "gone",
    title: "The change log no longer reaches back that far.",
    advice: "Read a snapshot and continue from its sequence.",
  },
  "plan-gone": {
    kind: "gone",
    title: "This run has no plan to show, or no longer.",
    advice: "What it has changed is in the change log under the id of the run; a dry run makes a new plan.",
  },
  "body-too-large": { kind: "too-large", title: "The request body is too large." },
  "too-many-erasures": {
    kind: "throttled",
    title: "As many people were erased in the last days as can be kept apart from the backups.",
  },
  "rate-limited": { kind: "throttled", title: "Too many requests." },
  "tier-not-offered": { kind: "invalid-input", title: "This installation does not offer that access." },
  "mail-not-offered": { kind: "invalid-input", title: "This installation sends no mails." },
  "mail-gone": {
    kind: "gone",
    title: "What the mail would tell is no longer there.",
    advice: "Ask for another dry run.",
  },
  "return-url-not-allowed": { kind: "invalid-input", title: "The return address is not registered." },
  "consent-attempt-unusable": {
    kind: "gone",
    title: "This consent attempt has ended or was already used.",
    advice: "Start the connection again.",
  },
  "consent-not-yours": { kind: "forbidden", title: "The consent attempt was started by somebody else." },
  "consent-declined": {
    kind: "not-consented",
    title: "The administrator declined.",
    advice: "Ask the administrator to approve, then try again.",
  },
  "consent-wrong-tenant": {
    kind: "not-consented",
    title: "The approval came from another organisation.",
    advice: "Approve with an account of the organisation that signed in.",
  },
  "consent-not-administrator": {
    kind: "not-consented",
    title: "The account that signed in may not approve this.",
    advice: "Sign in as a Global Administrator or Privileged Role Administrator.",
  },
  "consent-guest": {
    kind: "not-consented",
    title: "Guests cannot connect an organisation.",
    advice: "Sign in with an administrator account of the organisation itself.",
  },
  "consent-roles-missing": {
    kind: "not-consented",
    title: "Not all permissions were granted.",
    advice: "Approve all permissions on Microsoft's page.",
  },
  "consent-sign-in-failed": { kind: "not-consented", title: "The sign-in could not be verified." },
  "sign-in-request-invalid": {
    kind: "invalid-input",
    title: "The application or its return address is not registered.",
    advice: "Tell whoever runs the application that sent you here.",
  },
  "sign-in-attempt-unusable": {
    kind: "gone",
    title: "This sign-in has ended or was already used.",
    advice: "Sign in again from the application.",
  },
  "sign-in-not-offered": { kind: "forbidden", title: "Nobody can sign in here." },
  "sign-in-failed": { kind: "forbidden", title: "Microsoft did not confirm who signed in." },
  "sign-in-too-old": { kind: "forbidden", title: "The sign-in is older than the application accepts." },
  "sign-in-not-synchronised": {
    kind: "forbidden",
    title: "The account is not synchronised.",
    advice: "Ask the administrator of the application to have it synchronised.",
  },
  "sign-in-not-in-scope": {
    kind: "forbidden",
    title: "The settings do not admit the account.",
    advice: "Ask the administrator of the application.",
  },
  "sign-in-account-disabled": { kind: "forbidden", title: "The account is disabled in Microsoft 365." },
  "consent-revoked": {
    kind: "not-consented",
    title: "Microsoft no longer knows this application in the organisation.",
    advice: "An administrator must connect again.",
  },
  "application-disabled": {
    kind: "not-consented",
    title: "The application was switched off in the organisation.",
    advice: "Enable sign-in for the application under Enterprise applications.",
  },
  "permission-revoked": {
    kind: "not-consented",
    title: "A permission that is needed was taken away.",
    advice: "An administrator must approve again.",
  },
  "tenant-gone": {
    kind: "not-consented",
    title: "Microsoft does not find the organisation.",
    advice: "Check that the organisation still exists.",
  },
  "policy-blocked": {
    kind: "not-consented",
    title: "A policy of the organisation blocks the application.",
    advice:
      "Ask the organisation's IT to allow it: a Conditional Access policy or a required assignment stands in the way.",
  },
  "tenant-blocked": {
    kind: "not-consented",
    title: "The organisation admits no applications of other organisations.",
    advice:
      "Ask the organisation's IT to allow this application in its tenant restrictions or cross-tenant access settings.",
  },
  "plan-lost": {
    kind: "upstream-unavailable",
    title: "Staged parts of the plan are gone.",
    advice: "The next run makes a new plan from the same links.",
  },
  "graph-throttled": { kind: "throttled", title: "Microsoft Graph asks to wait." },
  "graph-unavailable": {
    kind: "upstream-unavailable",
    title: "Microsoft Graph did not answer usefully.",
    advice: "Look at the service health of Microsoft 365; it is tried again by itself.",
  },
  "graph-refused": {
    kind: "upstream-unavailable",
    title: "Microsoft Graph refused a request.",
    advice: "Check the licences and restrictions of the organisation, then test the connection.",
  },
  "graph-foreign-link": {
    kind: "upstream-unavailable",
    title: "Microsoft Graph returned a link to another host.",
    advice: "Tell whoever runs this installation.",
  },
  "sign-in-unavailable": {
    kind: "upstream-unavailable",
    title: "Microsoft's sign-in service did not answer usefully.",
    advice: "Look at the service health of Microsoft Entra; it is tried again by itself.",
  },
  "issuer-unavailable": { kind: "upstream-unavailable", title: "The keys of the token's issuer could not be read." },
  "credential-rejected": { kind: "misconfigured", title: "Microsoft rejected this installation's own credential." },
  "credential-expired": { kind: "misconfigured", title: "This installation's own credential has expired." },
  "store-unavailable": { kind: "upstream-unavailable", title: "The database did not answer usefully." },
  "store-full": { kind: "upstream-unavailable", title: "The connection has reached its size limit." },
  "keys-unavailable": { kind: "upstream-unavailable", title: "The key store did not answer usefully." },
  "key-missing": { kind: "gone", title: "The key of this data no longer exists." },
  "queue-unavailable": { kind: "upstream-unavailable", title: "The queue did not answer usefully." },
  "not-configured": { kind: "misconfigured", title: "This installation is not configured." },
  unexpected: { kind: "internal", title: "Something went wrong on our side." },
} as const satisfies Record<string, Problem>;

export type ProblemCode = keyof typeof problems;

export interface ErrorDetails {
  /** Path of the offending input field, `settings.intervalMinutes`. */
  field?: string;
  /** Added to the title for developers; never personal data, never text from Microsoft. */
  detail?: string;
  /** Of an uploaded file: what is wrong with which line, never the line itself. */
  lines?: readonly { line: number; detail: string }[];
  retryAfterSeconds?: number;
  /** Permissions that are missing. */
  missing?: readonly string[];
  /** Of the sign-in that is asked for. */
  maxAgeSeconds?: number;
  /** Graph throttles one tenant or this whole application. */
  scope?: "tenant" | "application";
  cause?: unknown;
}

export class AppError extends Error {
  readonly code: ProblemCode;
  readonly kind: ErrorKind;
  readonly details: ErrorDetails;

  constructor(code: ProblemCode, details: ErrorDetails = {}) {
    super(
      `${code}: ${problems[code].title}${details.detail ? ` ${details.detail}` : ""}`,
      details.cause === undefined ? {} : { cause: details.cause },
    );
    this.name = "AppError";
    this.code = code;
    this.kind = problems[code].kind;
    this.details = details;
  }

  get advice(): string | undefined {
    const problem: Problem = problems[this.code];
    return problem.advice;
  }
}

export const isAppError = (error: unknown, code?: ProblemCode): error is AppError =>
  error instanceof AppError && (code === undefined || error.code === code);
