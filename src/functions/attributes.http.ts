/** What fields of the product can be filled from. */
import type { Handlers } from "./register.ts";

export const attributes: Handlers<"attributes.list"> = {
  "attributes.list": ({ caller, params }, cases) => cases.listAttributes(caller, params.connection),
};
