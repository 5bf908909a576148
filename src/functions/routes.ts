/**
 * The one table of the API: every route with its right, its form and what it answers. The functions, the permission test and
 * the OpenAPI document come from it. A `{connection}` of another workspace does not exist.
 */
import { z } from "zod";
import { CloseConnection } from "../core/connections/close.ts";
import { CreateConnection } from "../core/connections/create.ts";
import { Settings } from "../core/connections/settings.ts";
import { UpdateConnection } from "../core/connections/update.ts";
import { CompleteConsent } from "../core/consent/complete.ts";
import { StartConsent } from "../core/consent/start.ts";
import { ChangesPage } from "../core/views/changes.ts";
import { GroupDetails, GroupView, MemberView } from "../core/views/groups.ts";
import { LinkProductUser } from "../core/views/link-product-user.ts";
import { PersonDetails, PersonStateName, PersonView } from "../core/views/people.ts";
import { RequestRun, RunView } from "../core/views/runs.ts";
import { SnapshotPage } from "../core/views/snapshot.ts";
import {
  ConnectionAnswer,
  ConsentAnswer,
  listOf,
  PermissionsAnswer,
  SettingsAnswer,
  TestAnswer,
  UpdatedConnection,
} from "./answers.ts";
import type { Route } from "./route.ts";

/** Digits and nothing else: no sign, no exponent, no list of a key that was repeated. */
const whole = (least: number, most: number) =>
  z.preprocess(
    (text) => (typeof text === "string" && /^\d{1,15}$/.test(text) ? Number(text) : text),
    z.int().min(least).max(most),
  );
const limit = whole(1, 200).default(50);
const page = { limit, cursor: z.string().min(1).max(2000).optional() };
const Paged = z.strictObject(page);

const all = "api/v1/connections";
const one = "api/v1/connections/{connection}";

export const routes = {
  "connections.create": {
    method: "POST",
    path: all,
    summary: "Makes a draft of a data connection.",
    permission: "integration:setup",
    personal: false,
    body: CreateConnection,
    status: 201,
    location: `${all}/{id}`,
    answer: ConnectionAnswer,
  },
  "connections.list": {
    method: "GET",
    path: all,
    summary: "The data connections of the workspace.",
    permission: "integration:read",
    personal: false,
    query: Paged,
    paged: true,
    status: 200,
    answer: listOf(ConnectionAnswer),
  },
  "connections.read": {
    method: "GET",
    path: one,
    summary: "One data connection.",
    permission: "integration:read",
    personal: false,
    status: 200,
    answer: ConnectionAnswer,
  },
  "connections.update": {
    method: "PATCH",
    path: one,
    summary: "Renames a data connection or switches its tiers of access.",
    permission: "integration:setup",
    personal: false,
    body: UpdateConnection,
    ifMatch: "required",
    status: 200,
    answer: UpdatedConnection,
  },
  "connections.close": {
    method: "DELETE",
    path: one,
    summary: "Stops a data connection and deletes it after seven days. The body repeats its name.",
    permission: "integration:setup",
    personal: false,
    body: CloseConnection,
    status: 202,
    location: one,
    answer: ConnectionAnswer,
  },
  "connections.restore": {
    method: "POST",
    path: `${one}/restore`,
    summary: "Takes a scheduled deletion back.",
    permission: "integration:setup",
    personal: false,
    status: 200,
    answer: ConnectionAnswer,
  },
  "connections.test": {
    method: "POST",
    path: `${one}/test`,
    summary: "Tries a token, its permissions, the organisation and a first page of each feed, now.",
    permission: "integration:setup",
    personal: false,
    status: 200,
    answer: TestAnswer,
  },
  "connections.permissions": {
    method: "GET",
    path: `${one}/permissions`,
    summary: "What each tier asks for, what was approved here and what Microsoft grants.",
    permission: "integration:read",
    personal: false,
    status: 200,
    answer: PermissionsAnswer,
  },
  "consent.start": {
    method: "POST",
    path: `${one}/consent`,
    summary: "Begins an approval: a link for an administrator of the organisation.",
    permission: "integration:setup",
    personal: false,
    body: StartConsent,
    status: 201,
    answer: ConsentAnswer,
  },
  "consent.complete": {
    method: "POST",
    path: `${one}/consent/complete`,
    summary: "Redeems the one-time code of an approval, by whoever began it.",
    permission: "integration:setup",
    personal: false,
    body: CompleteConsent,
    status: 200,
    answer: ConnectionAnswer,
  },
  "settings.read": {
    method: "GET",
    path: `${one}/settings`,
    summary: "The settings of the directory sync.",
    permission: "integration:read",
    personal: false,
    status: 200,
    answer: SettingsAnswer,
  },
  "settings.change": {
    method: "PUT",
    path: `${one}/settings`,
    summary: "Replaces the settings. What is switched off is off when this answers.",
    permission: "integration:setup",
    personal: false,
    body: Settings,
    ifMatch: "required",
    status: 200,
    answer: SettingsAnswer,
  },
  "runs.request": {
    method: "POST",
    path: `${one}/runs`,
    summary: "Asks for a run now; a dry run ends when its plan has been weighed.",
    permission: "integration:setup",
    personal: false,
    body: RequestRun,
    status: 202,
    location: `${one}/runs/{id}`,
    answer: RunView,
  },
  "runs.cancel": {
    method: "POST",
    path: `${one}/runs/{run}/cancel`,
    summary: "Ends a run that has not ended; what it has applied stays.",
    permission: "integration:setup",
    personal: false,
    status: 200,
    answer: RunView,
  },
  "runs.list": {
    method: "GET",
    path: `${one}/runs`,
    summary: "Runs, newest first.",
    permission: "integration:read",
    personal: false,
    query: Paged,
    paged: true,
    status: 200,
    answer: listOf(RunView),
  },
  "runs.read": {
    method: "GET",
    path: `${one}/runs/{run}`,
    summary: "One run: phase, counts, outcome.",
    permission: "integration:read",
    personal: false,
    status: 200,
    answer: RunView,
  },
  "people.list": {
    method: "GET",
    path: `${one}/people`,
    summary: "People who are synchronised, or those of another state.",
    permission: "directory:read",
    personal: true,
    query: z.strictObject({ ...page, state: PersonStateName.optional() }),
    paged: true,
    status: 200,
    answer: listOf(PersonView),
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
  "people.link": {
    method: "PUT",
    path: `${one}/people/{person}/product-user`,
    summary: "Links a person to a user of the product; null ends the link.",
    permission: "integration:sync",
    personal: true,
    body: LinkProductUser,
    ifMatch: "optional",
    status: 200,
    answer: PersonDetails,
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
  "changes.read": {
    method: "GET",
    path: `${one}/changes`,
    summary: "Changes after a sequence; waits up to `wait` seconds for the first.",
    permission: "directory:read",
    personal: true,
    query: z.strictObject({
      after: whole(0, Number.MAX_SAFE_INTEGER).default(0),
      limit,
      wait: whole(0, 20).default(0),
    }),
    status: 200,
    answer: ChangesPage,
  },
  "snapshot.read": {
    method: "GET",
    path: `${one}/snapshot`,
    summary: "Everything that is held: people, then groups, then memberships.",
    permission: "directory:read",
    personal: true,
    query: Paged,
    paged: true,
    status: 200,
    answer: SnapshotPage,
  },
  "openapi.read": {
    method: "GET",
    path: "api/v1/openapi.json",
    summary: "This document.",
    permission: null,
    personal: false,
    status: 200,
    answer: z.record(z.string(), z.unknown()),
  },
} as const satisfies Record<string, Route>;

export type RouteName = keyof typeof routes;
