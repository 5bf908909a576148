/**
 * What the setup asks and in which words: the steps in their order, and for every setting the step it belongs to. A setting
 * without a text, or a text without a setting, does not compile.
 */
import type { Settings } from "../connections/settings.ts";

/** Dotted paths of everything in the settings that is chosen on its own; lists and maps are one choice. */
type Paths<T, Above extends string = ""> = T extends boolean | number | string | null | readonly unknown[]
  ? Above
  : string extends keyof T
    ? Above
    : { [K in keyof T & string]: Paths<T[K], Above extends "" ? K : `${Above}.${K}`> }[keyof T & string];
export type SettingPath = Paths<Settings>;

type At<T, Path extends string> = Path extends `${infer Key}.${infer Rest}`
  ? Key extends keyof T
    ? At<T[Key], Rest>
    : never
  : Path extends keyof T
    ? T[Path]
    : never;

/** Shown only while that setting has this value; null = always. */
export type Depends = { path: SettingPath; is: boolean | string } | null;

/** What cannot be told from a value's form: what a list or a map is of. */
export const collections = ["groups", "group-mapping", "attribute-mapping"] as const;

interface FieldBase {
  step: SettingStep;
  label: string;
  help?: string;
  depends?: Depends;
}
type FieldText<Value> = FieldBase &
  ([Value] extends [boolean | number | null]
    ? object
    : [Value] extends [string]
      ? { choices: Record<Value, string> }
      : [Value] extends [string | null]
        ? object
        : { type: (typeof collections)[number] });

export interface StepText {
  id: string;
  title: string;
  /** In plain words: what is asked, and what becomes of people's data. */
  text: string;
  depends?: Depends;
}

const withGroups: Depends = { path: "groups.include", is: true };
const bySelection: Depends = { path: "people.from", is: "groups" };

export const stepTexts = [
  {
    id: "introduction",
    title: "Before you begin",
    text:
      "The directory sync reads people, groups and memberships from Microsoft 365 and keeps an encrypted copy for this product. It only " +
      "reads: nothing in Microsoft 365 is changed. The next steps ask whose data come, which of them, and what becomes of them. Each " +
      "answer is saved at once, and no scheduled sync starts before you finish.",
  },
  {
    id: "automatic",
    title: "Automatic sync",
    text:
      "An automatic sync runs again and again at the interval you choose. Without it nothing is read unless somebody starts a sync by " +
      "hand. A pause stops everything, syncs started by hand included; what is stored stays as it is.",
  },
  {
    id: "include-groups",
    title: "Include groups",
    text:
      "Groups and their members can come into the product beside the people. Without groups only people come; a group that you choose " +
      "people by is then kept as a bare id, is shown to nobody, and is forgotten when you stop using it.",
  },
  {
    id: "select-groups",
    title: "Whose data come",
    text:
      "Everybody means every account of your organisation that the later steps allow, also people who are in no group. With selected " +
      "groups only their members come; whoever leaves the last of these groups leaves the sync, and is treated as the last step says.",
  },
  {
    id: "group-kinds",
    title: "Kinds of groups",
    text: "Only groups of the kinds you switch on come into the product. Groups of other kinds are not stored.",
    depends: withGroups,
  },
  {
    id: "group-mapping",
    title: "Groups of the product",
    text:
      "A group of Microsoft 365 can stand for a group of this product: its members become members of that one. Several groups may stand " +
      "for the same one, whose members are then those of all of them. Only memberships that the sync has added are ever taken away.",
    depends: withGroups,
  },
  {
    id: "blacklist",
    title: "Addresses that stay out",
    text:
      "People with an address on this list are never synchronised, whatever else you choose. An address counts wherever it stands: as " +
      "primary address, sign-in name, further address or alias; *@domain counts for primary addresses and sign-in names. Somebody who " +
      "is synchronised already leaves with the next sync, not when you save. The list is stored encrypted.",
  },
  {
    id: "account-kinds",
    title: "Kinds of accounts",
    text: "People come only if their kind of account is switched on. Of other accounts nothing is stored.",
  },
  {
    id: "one-by-one",
    title: "Everybody or one by one",
    text:
      "Either everybody whom the other steps allow is synchronised, or only those among them whom somebody has enabled one by one. " +
      "Nobody is enabled until you do it.",
  },
  {
    id: "attributes",
    title: "What is read of a person",
    text:
      "Choose which properties of Microsoft 365 fill which fields of the product. Properties you leave out are not stored, except those " +
      "that decide who is synchronised. When a value ends in Microsoft 365, the field keeps its last value unless you let it be cleared.",
  },
  {
    id: "leaving",
    title: "When somebody leaves",
    text:
      "Somebody leaves when the account is deleted in Microsoft 365, or when your choices no longer include the person. Whoever comes " +
      "back is the same person again, with the same link to the product. A sync that would take away unusually much stops and waits for " +
      "an approval.",
  },
  {
    id: "test",
    title: "Test sync",
    text:
      "A test sync reads everything, works out what a sync would do, and does none of it. Its numbers and warnings are shown here; they " +
      "can also be mailed, with the names of groups and without any people, to the administrator who approved the connection.",
  },
  {
    id: "finish",
    title: "Finish",
    text: "From now on the sync runs as you have chosen; the first one begins within the interval, at the latest after 24 hours.",
  },
] as const satisfies readonly StepText[];

export type StepId = (typeof stepTexts)[number]["id"];
export type SettingStep = Exclude<StepId, "introduction" | "blacklist" | "test" | "finish">;

export const fieldTexts: { [Path in SettingPath]: FieldText<At<Settings, Path>> } = {
  automatic: { step: "automatic", label: "Synchronise automatically" },
  intervalMinutes: {
    step: "automatic",
    label: "Minutes between two syncs",
    help: "From 5 minutes to 24 hours (1440).",
    depends: { path: "automatic", is: true },
  },
  paused: { step: "automatic", label: "Pause the whole sync" },
  "signIn.createPeople": {
    step: "automatic",
    label: "Add people when they first sign in",
    help:
      "With single sign-on: somebody whom the other steps allow, and whom no sync has brought yet, is added at once instead of " +
      "waiting for the next sync.",
  },

  "groups.include": { step: "include-groups", label: "Groups come into the product" },

  "people.from": {
    step: "select-groups",
    label: "Whose data come",
    choices: { everybody: "Everybody, also people in no group", groups: "Members of selected groups" },
  },
  "people.groups": {
    step: "select-groups",
    label: "Selected groups",
    type: "groups",
    help: "Search for a group by its name; what is kept is its id.",
    depends: bySelection,
  },
  "people.membership": {
    step: "select-groups",
    label: "Which members",
    choices: { direct: "Direct members only", nested: "Also members of groups inside them, at any depth" },
    depends: bySelection,
  },

  "groups.kinds.microsoft365": { step: "group-kinds", label: "Microsoft 365 groups and teams" },
  "groups.kinds.security": { step: "group-kinds", label: "Security groups" },
  "groups.kinds.mailEnabledSecurity": { step: "group-kinds", label: "Mail-enabled security groups" },
  "groups.kinds.distribution": { step: "group-kinds", label: "Distribution lists" },

  "groups.mapping": {
    step: "group-mapping",
    label: "Which group stands for which group of the product",
    type: "group-mapping",
    help: "A group stands for one group of the product at most.",
  },
  "groups.unmapped": {
    step: "group-mapping",
    label: "Groups that stand for none",
    choices: { import: "Come in as themselves", "leave-out": "Stay out" },
  },

  "people.kinds.members": { step: "account-kinds", label: "Members of the organisation" },
  "people.kinds.guests": { step: "account-kinds", label: "Guests from other organisations" },
  "people.kinds.disabled": { step: "account-kinds", label: "Accounts that may not sign in" },
  "people.kinds.withoutMail": {
    step: "account-kinds",
    label: "Accounts without an e-mail address",
    help: "Often meeting rooms, devices and technical accounts.",
  },

  "people.oneByOne": { step: "one-by-one", label: "Only people who were enabled one by one" },

  attributes: {
    step: "attributes",
    label: "Which property fills which field",
    type: "attribute-mapping",
    help: "A property can fill several fields; a person's manager is given by itself.",
  },

  "leaving.rule": {
    step: "leaving",
    label: "Whoever leaves",
    choices: {
      keep: "Stays as last seen",
      deactivate: "Is deactivated",
      remove: "Is deactivated, and removed later",
    },
  },
  "leaving.afterDays": {
    step: "leaving",
    label: "Days until removal",
    depends: { path: "leaving.rule", is: "remove" },
  },
  "guard.share": {
    step: "leaving",
    label: "Percent that may go within seven days",
    help: "Of the people, groups or memberships there are. A sync that would take away more waits for an approval.",
  },
  "guard.floor": { step: "leaving", label: "So many may go in any case" },
  "guard.offUntil": {
    step: "leaving",
    label: "Let everything pass until",
    help: "At most seven days ahead; empty means that large removals wait for an approval.",
  },
  "guard.secondPerson": {
    step: "leaving",
    label: "Somebody else must approve",
    help: "Whoever changed the settings last, or asked for the sync, may not approve it alone.",
  },
};
