/** People, and their link to users of the product. */
import type { Handlers } from "./register.ts";

export const people: Handlers<"people.list" | "people.read" | "people.link"> = {
  "people.list": ({ caller, params, page, query }, cases) =>
    cases.listPeople(caller, params.connection, { ...page, state: query.state, link: query.link }),
  "people.read": ({ caller, params }, cases) => cases.readPerson(caller, params.connection, params.person),
  "people.link": ({ caller, params, ifMatch, body }, cases) =>
    cases.linkProductUser(caller, params.connection, params.person, ifMatch, body),
};
