/** Users of the product: who of them is which person. */
import type { Handlers } from "./register.ts";

export const productUsers: Handlers<"product-users.link" | "product-users.match"> = {
  "product-users.link": ({ caller, params, body }, cases) => cases.linkProductUsers(caller, params.connection, body),
  "product-users.match": ({ caller, params, body }, cases) => cases.matchProductUsers(caller, params.connection, body),
};
