/** The change log for whoever answers for it: looked through, taken along, verified. */
import type { Handlers } from "./register.ts";

export const audit: Handlers<"audit.list" | "audit.search" | "audit.export" | "audit.verify"> = {
  "audit.list": ({ caller, params, query: { limit: _l, cursor: _c, ...filter }, page }, cases) =>
    cases.readAudit(caller, params.connection, filter, page),
  "audit.search": ({ caller, params, body, page }, cases) => cases.readAudit(caller, params.connection, body, page),
  "audit.export": ({ caller, params, query: { limit: _l, cursor: _c, ...asked }, page }, cases) =>
    cases.exportAudit(caller, params.connection, asked, page),
  "audit.verify": ({ caller, params, query: { limit: _l, cursor: _c, ...range }, page }, cases) =>
    cases.verifyAudit(caller, params.connection, range, page),
};
