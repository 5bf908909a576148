/**
 * What a refusal of Entra ID means for a connection. Microsoft's numbers decide, the OAuth error is the fallback for numbers we
 * do not know; the text is never read for meaning, never shown and never logged, as it may name people.
 * https://learn.microsoft.com/entra/identity-platform/reference-error-codes
 */
import { AppError, isAppError, type ProblemCode } from "../../core/errors.ts";

export type SignInProblem = Extract<
  ProblemCode,
  | "consent-revoked"
  | "application-disabled"
  | "permission-revoked"
  | "tenant-gone"
  | "policy-blocked"
  | "tenant-blocked"
  | "credential-rejected"
  | "credential-expired"
  | "not-configured"
  | "sign-in-unavailable"
>;

const numbers: readonly (readonly [SignInProblem, readonly number[]])[] = [
  ["consent-revoked", [700016, 7000229, 700011, 70001]],
  ["application-disabled", [7000112]],
  ["permission-revoked", [65001]],
  ["tenant-gone", [90002]],
  ["credential-expired", [7000222]],
  // Wrong secret, bad certificate or assertion, no federated credential that matches: ours, for every tenant at once.
  ["credential-rejected", [7000215, 7000218, 50012, 700021, 700022, 700023, 700024, 700027, 700030, 700229]],
  ["credential-rejected", [70021, 700210, 700211, 700212, 700213, 700214, 700215, 700216, 700217, 700218, 700219]],
  // The registration itself is set up wrongly: a resource it does not list, one tenant only, a redirect URI that is not its own.
  ["not-configured", [65005, 650056, 650057, 50194, 50011]],
  // Conditional Access, a required assignment.
  ["policy-blocked", [53000, 53001, 53003, 530032, 53011, 50097, 50131, 50105]],
  // Tenant restrictions and cross-tenant access settings.
  ["tenant-blocked", [500021, 500022, 500212, 500213]],
  ["policy-blocked", [50072, 50074, 50076, 50078, 50079, 50158]],
  ["sign-in-unavailable", [90033, 90006, 90024, 50033, 90090, 50196]],
];
const byNumber = new Map(numbers.flatMap(([problem, list]) => list.map((number) => [number, problem] as const)));

const byOAuthError: ReadonlyMap<string, SignInProblem> = new Map([
  ["invalid_client", "credential-rejected"],
  ["interaction_required", "policy-blocked"],
  ["temporarily_unavailable", "sign-in-unavailable"],
  ["server_error", "sign-in-unavailable"],
]);

/** Ours and nobody else's: another credential of the same registration may still be accepted. */
export const isOwnCredential = (code: ProblemCode): boolean =>
  code === "credential-rejected" || code === "credential-expired";

/** Null when neither is known. */
export const meaning = (number: number | null, oauthError: string | null): SignInProblem | null =>
  (number === null ? undefined : byNumber.get(number)) ??
  (oauthError === null ? undefined : byOAuthError.get(oauthError)) ??
  null;

/** Safe to log: the number, else the OAuth error when it looks like one. */
export const name = (number: number | null, oauthError: string | null): string =>
  number !== null
    ? `AADSTS${number}`
    : oauthError !== null && /^[\w.-]{1,64}$/.test(oauthError)
      ? oauthError
      : "no code";

/** `error` and everything that caused it, outermost first. */
export function* causes(error: unknown): Generator<object> {
  for (let depth = 0, at = error; depth < 8 && typeof at === "object" && at !== null; depth++) {
    yield at;
    at = "cause" in at ? at.cause : null;
  }
}

/** From a failed `getToken`: @azure/identity hides MSAL's `ServerError {errorCode, errorNo}` as a cause. */
export const tokenFailure = (error: unknown): AppError => {
  let oauthError: string | null = null;
  let transport: string | null = null;
  for (const each of causes(error)) {
    if (isAppError(each)) return each;
    const number = "errorNo" in each ? Number(each.errorNo) : Number.NaN;
    if ("errorCode" in each && typeof each.errorCode === "string") oauthError ??= each.errorCode;
    if ("code" in each && typeof each.code === "string" && /^[A-Z_]{3,40}$/.test(each.code)) transport ??= each.code;
    if (!Number.isSafeInteger(number) || number <= 0) continue;
    return new AppError(meaning(number, oauthError) ?? "sign-in-unavailable", { detail: name(number, null) });
  }
  const detail = oauthError ? name(null, oauthError) : (transport ?? "no answer");
  return new AppError(meaning(null, oauthError) ?? "sign-in-unavailable", { detail });
};
