/** The product's part of an approval: it begins, and redeems the code. The administrator's part is `connect.http.ts`. */
import type { Handlers } from "./register.ts";

export const consent: Handlers<"consent.start" | "consent.complete"> = {
  "consent.start": ({ caller, params, body }, cases) => cases.startConsent(caller, params.connection, body),
  "consent.complete": ({ caller, params, body }, cases) => cases.completeConsent(caller, params.connection, body),
};
