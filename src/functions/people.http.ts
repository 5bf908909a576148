/** People: shown, searched, switched, linked to users of the product, given out, erased. */
import type { Handlers } from "./register.ts";

export const people: Handlers<
  | "people.list"
  | "people.search"
  | "people.explain"
  | "people.read"
  | "people.switch"
  | "people.link"
  | "people.export"
  | "people.erase"
> = {
  "people.list": ({ caller, params, page, query }, cases) =>
    cases.listPeople(caller, params.connection, { ...page, state: query.state, link: query.link }),
  "people.search": ({ caller, params, body }, cases) => cases.searchPeople(caller, params.connection, body),
  "people.explain": ({ caller, params, body }, cases) => cases.explainPerson(caller, params.connection, body),
  "people.read": ({ caller, params }, cases) => cases.readPerson(caller, params.connection, params.person),
  "people.switch": ({ caller, params, body }, cases) =>
    cases.switchPerson(caller, params.connection, params.person, body),
  "people.link": ({ caller, params, ifMatch, body }, cases) =>
    cases.linkProductUser(caller, params.connection, params.person, ifMatch, body),
  "people.export": ({ caller, params, body }, cases) =>
    cases.exportPerson(caller, params.connection, params.person, body),
  "people.erase": ({ caller, params, body }, cases) =>
    cases.erasePerson(caller, params.connection, params.person, body),
};
