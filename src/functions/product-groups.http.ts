/** The groups that the product offers to map onto. */
import type { Handlers } from "./register.ts";

export const productGroups: Handlers<"product-groups.list" | "product-groups.replace"> = {
  "product-groups.list": ({ caller, params, page }, cases) => cases.listProductGroups(caller, params.connection, page),
  "product-groups.replace": ({ caller, params, ifMatch, body }, cases) =>
    cases.changeProductGroups(caller, params.connection, ifMatch, body),
};
