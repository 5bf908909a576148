/** The description of the API, made of the same table as the API. */
import { openApi } from "./openapi.ts";
import type { Handlers } from "./register.ts";

export const openapi: Handlers<"openapi.read"> = {
  "openapi.read": async (_request, cases) => openApi(cases.publicBaseUrl),
};
