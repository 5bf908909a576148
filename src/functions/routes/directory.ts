/** People and groups: what is stored, live search, links to the product, privacy. */
import { z } from "zod";
import { PersonSwitch, SwitchPerson } from "../../core/directory/switch-person.ts";
import { ErasePerson, ErasureReceipt } from "../../core/privacy/erase-person.ts";
import { ExportPerson, PersonExport } from "../../core/privacy/export-person.ts";
import { PrivacyRecord } from "../../core/privacy/record.ts";
import { ExplainPerson, Explanation } from "../../core/views/explain-person.ts";
import { GroupDetails, GroupView, MemberView } from "../../core/views/groups.ts";
import { LinkProductUser, PersonLink } from "../../core/views/link-product-user.ts";
import { LinkOutcome, LinkProductUsers } from "../../core/views/link-product-users.ts";
import { SearchRequest } from "../../core/views/live.ts";
import { Match, MatchProductUsers } from "../../core/views/match-product-users.ts";
import { LinkStateName, PersonDetails, PersonStateName, PersonView } from "../../core/views/people.ts";
import { GroupsFound } from "../../core/views/search-groups.ts";
import { PeopleFound } from "../../core/views/search-people.ts";
import { listOf } from "../answers.ts";
import type { Route } from "../route.ts";

import { one, Paged, page } from "./parts.ts";

export const directoryRoutes = {
  "people.list": {
    method: "GET",
    path: `${one}/people`,
    summary: "People who are synchronised, or those of another state; all, or those with (or without) a product user.",
    permission: "directory:read",
    personal: true,
    query: z.strictObject({ ...page, state: PersonStateName.optional(), link: LinkStateName.optional() }),
    paged: true,
    status: 200,
    answer: listOf(PersonView),
  },
  "people.search": {
    method: "POST",
    path: `${one}/people/search`,
    summary:
      "Finds people in Microsoft 365, now: who is synchronised, whom the settings admit, and why. Nothing is stored.",
    permission: "directory:read-all",
    cost: "live",
    personal: true,
    namesFound: true,
    body: SearchRequest,
    status: 200,
    answer: PeopleFound,
  },
  "people.explain": {
    method: "POST",
    path: `${one}/people/explain`,
    summary:
      "Why a person is in or out. Of people who are not stored only with `directory:read-all`; nothing is stored.",
    permission: "directory:read",
    cost: "live",
    personal: true,
    namesFound: true,
    body: ExplainPerson,
    status: 200,
    answer: z.strictObject({ items: z.array(Explanation) }),
  },
  "people.read": {
    method: "GET",
    path: `${one}/people/{person}`,
    summary: "One person, with the groups the person is in.",
    permission: "directory:read",
    personal: true,
    status: 200,
    answer: PersonDetails,
  },
  "people.switch": {
    method: "PUT",
    path: `${one}/people/{person}/sync`,
    summary: "Switches the synchronisation of one person on or off; it has happened when this answers.",
    permission: "integration:sync",
    cost: "live",
    personal: true,
    body: SwitchPerson,
    status: 200,
    answer: PersonSwitch,
  },
  "people.link": {
    method: "PUT",
    path: `${one}/people/{person}/product-user`,
    summary: "Links a person to a user of the product; null ends the link.",
    permission: "integration:sync",
    personal: true,
    body: LinkProductUser,
    ifMatch: "optional",
    status: 200,
    answer: PersonLink,
  },
  "people.export": {
    method: "POST",
    path: `${one}/people/{person}/export`,
    summary:
      "Everything that is held of one person, machine-readable and in sentences. Nothing of it is kept; other people are left out.",
    permission: "privacy:manage",
    personal: true,
    body: ExportPerson,
    status: 200,
    answer: PersonExport,
  },
  "people.erase": {
    method: "POST",
    path: `${one}/people/{person}/erase`,
    summary:
      "Erases one person for good; it has happened when this answers. The body repeats the id. May be repeated: the receipt is the same.",
    permission: "privacy:manage",
    person: true,
    stepUp: true,
    personal: false,
    body: ErasePerson,
    status: 200,
    answer: ErasureReceipt,
  },
  "privacy.record": {
    method: "GET",
    path: `${one}/privacy/record`,
    summary: "What is held of people because of this connection: why, where, in which form, how long, and who sees it.",
    permission: "privacy:manage",
    personal: false,
    status: 200,
    answer: PrivacyRecord,
  },
  "product-users.link": {
    method: "POST",
    path: `${one}/product-users`,
    summary: "Links up to 200 people to users of the product, or ends their links; each has its own outcome.",
    permission: "integration:sync",
    personal: true,
    body: LinkProductUsers,
    status: 200,
    answer: z.strictObject({ items: z.array(LinkOutcome) }),
  },
  "product-users.match": {
    method: "POST",
    path: `${one}/product-users/match`,
    summary: "Who up to 200 users of the product might be, by address. A hint, no proof: nothing is linked.",
    permission: "directory:read",
    personal: true,
    body: MatchProductUsers,
    status: 200,
    answer: z.strictObject({ items: z.array(Match) }),
  },
  "groups.list": {
    method: "GET",
    path: `${one}/groups`,
    summary: "Groups.",
    permission: "directory:read",
    personal: true,
    query: Paged,
    paged: true,
    status: 200,
    answer: listOf(GroupView),
  },
  "groups.search": {
    method: "POST",
    path: `${one}/groups/search`,
    summary: "Finds groups in Microsoft 365, now, for the settings to name. Nothing is stored.",
    permission: "integration:setup",
    cost: "live",
    personal: true,
    namesFound: true,
    body: SearchRequest,
    status: 200,
    answer: GroupsFound,
  },
  "groups.read": {
    method: "GET",
    path: `${one}/groups/{group}`,
    summary: "One group, with the number of its members.",
    permission: "directory:read",
    personal: true,
    status: 200,
    answer: GroupDetails,
  },
  "groups.members": {
    method: "GET",
    path: `${one}/groups/{group}/members`,
    summary: "Members of a group who are synchronised.",
    permission: "directory:read",
    personal: true,
    query: Paged,
    paged: true,
    status: 200,
    answer: listOf(MemberView),
  },
} as const satisfies Record<string, Route>;
