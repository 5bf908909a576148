/** The access log of the workspace: looked through and taken along. */
import type { Handlers } from "./register.ts";

export const access: Handlers<"access.list" | "access.search" | "access.export"> = {
  "access.list": ({ caller, query: { limit: _l, cursor: _c, ...filter }, page }, cases) =>
    cases.readAccess(caller, filter, page),
  "access.search": ({ caller, body, page }, cases) => cases.readAccess(caller, body, page),
  "access.export": ({ caller, query: { limit: _l, cursor: _c, ...asked }, page }, cases) =>
    cases.exportAccess(caller, asked, page),
};
