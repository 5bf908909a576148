/** Settings of the directory sync, their earlier versions, and the e-mail blacklist. */
import type { Handlers } from "./register.ts";

export const settings: Handlers<
  | "settings.read"
  | "settings.change"
  | "settings.impact"
  | "settings.versions"
  | "settings.version"
  | "settings.restore"
  | "settings.blacklist"
  | "settings.blacklist-replace"
  | "settings.blacklist-upload"
> = {
  "settings.read": ({ caller, params }, cases) => cases.readSettings(caller, params.connection),
  "settings.change": ({ caller, params, ifMatch, body }, cases) =>
    cases.changeSettings(caller, params.connection, ifMatch, body),
  "settings.impact": ({ caller, params, body }, cases) => cases.requestImpact(caller, params.connection, body),
  "settings.versions": ({ caller, params, page }, cases) => cases.listSettingsVersions(caller, params.connection, page),
  "settings.version": ({ caller, params }, cases) =>
    cases.readSettingsVersion(caller, params.connection, params.version),
  "settings.restore": ({ caller, params, ifMatch }, cases) =>
    cases.restoreSettings(caller, params.connection, ifMatch, params.version),
  "settings.blacklist": ({ caller, params, page }, cases) => cases.readBlacklist(caller, params.connection, page),
  "settings.blacklist-replace": ({ caller, params, ifMatch, body }, cases) =>
    cases.replaceBlacklist(caller, params.connection, ifMatch, body),
  "settings.blacklist-upload": ({ caller, params, ifMatch, query, body }, cases) =>
    cases.uploadBlacklist(caller, params.connection, ifMatch, { mode: query.mode, text: body }),
};
