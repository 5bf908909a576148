/** Groups and their members. */
import type { Handlers } from "./register.ts";

export const groups: Handlers<"groups.list" | "groups.search" | "groups.read" | "groups.members"> = {
  "groups.list": ({ caller, params, page }, cases) => cases.listGroups(caller, params.connection, page),
  "groups.search": ({ caller, params, body }, cases) => cases.searchGroups(caller, params.connection, body),
  "groups.read": ({ caller, params }, cases) => cases.readGroup(caller, params.connection, params.group),
  "groups.members": ({ caller, params, page }, cases) =>
    cases.listMembers(caller, params.connection, params.group, page),
};
