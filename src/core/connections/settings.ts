/**
 * What an administrator chose about the directory sync of one connection: whose data comes, which of it, when, and what becomes
 * of it when somebody leaves. Unknown fields are refused. The e-mail blacklist names people and is kept sealed, beside this.
 */
import { z } from "zod";
import { attributeCatalogue, type CatalogueName } from "../directory/attributes.ts";

/** A plan that takes away more than this waits for approval; see `src/core/directory/guard.ts`. */
export const GuardSettings = z.strictObject({
  /** Percent of the people, groups or memberships there are, within seven days. */
  share: z.int().min(1).max(100),
  /** So many may always go: a share of little is nothing. */
  floor: z.int().min(0).max(10_000),
  /** The guard sleeps until then; at most seven days ahead, so that nobody forgets it. */
  offUntil: z.iso.datetime().nullable(),
  /** Whoever changed the settings last, or asked for the run, may not approve its plan alone. */
  secondPerson: z.boolean(),
});
export type GuardSettings = z.infer<typeof GuardSettings>;

export const longestGuardPauseMilliseconds = 7 * 86_400_000;

/** An Entra object id; Microsoft's own answers mix upper and lower case. */
const ObjectId = z.guid().toLowerCase();

const withoutRepeats = (ids: readonly string[]): boolean => new Set(ids).size === ids.length;

export const GroupSettings = z.strictObject({
  /** Groups come into the product. Off: people only, and a group that people are chosen by is kept as an id. */
  include: z.boolean(),
  /** By the rules of https://learn.microsoft.com/graph/api/resources/groups-overview. */
  kinds: z.strictObject({
    microsoft365: z.boolean(),
    security: z.boolean(),
    mailEnabledSecurity: z.boolean(),
    distribution: z.boolean(),
  }),
  /** A group that stands for one of the product; its members become members of that one. Many may stand for the same. */
  mapping: z
    .array(z.strictObject({ group: ObjectId, productGroup: z.string().min(1).max(128) }))
    .max(1000)
    .refine((mapping) => withoutRepeats(mapping.map(({ group }) => group)), "A group stands for one product group."),
  /** What becomes of groups that stand for none. */
  unmapped: z.enum(["import", "leave-out"]),
});
export type GroupSettings = z.infer<typeof GroupSettings>;

export const PeopleSettings = z.strictObject({
  /** Everybody, also people who are in no group; or the members of `groups`. */
  from: z.enum(["everybody", "groups"]),
  groups: z.array(ObjectId).max(500).refine(withoutRepeats, "A group is named once."),
  /** `nested`: also members of groups that are members, at any depth. */
  membership: z.enum(["direct", "nested"]),
  kinds: z.strictObject({
    members: z.boolean(),
    guests: z.boolean(),
    disabled: z.boolean(),
    withoutMail: z.boolean(),
  }),
  /** Of those, only people who have been enabled one by one. */
  oneByOne: z.boolean(),
});
export type PeopleSettings = z.infer<typeof PeopleSettings>;

const names = Object.keys(attributeCatalogue) as [CatalogueName, ...CatalogueName[]];

/** Field of the product -> Graph property. */
export const AttributeSettings = z
  .record(
    z
      .string()
      .regex(/^[A-Za-z][A-Za-z0-9_.-]{0,63}$/)
      // Every object has such a property already: `constructor`, `toString`.
      .refine((name) => !(name in {}), "No field can have this name."),
    z.strictObject({
      from: z.enum(names),
      /** A value that ends in Entra ID ends in the product as well; otherwise the last one stays. */
      clear: z.boolean(),
    }),
  )
  .refine((fields) => Object.keys(fields).length <= 100, "At most 100 fields.")
  // The record's relation to another person stands beside the fields.
  .refine((fields) => !("manager" in fields), "`manager` is given by itself.");
export type AttributeSettings = z.infer<typeof AttributeSettings>;

export const LeavingSettings = z.strictObject({
  /** Of people who leave the sync scope or Entra ID. */
  rule: z.enum(["keep", "deactivate", "remove"]),
  /** `remove`: deactivated at once, removed after so many days. */
  afterDays: z.int().min(1).max(3650),
});

export const SignInSettings = z.strictObject({
  /** Somebody whom these settings admit and who is not synchronised yet is added when signing in, and need not wait for the next sync. */
  createPeople: z.boolean(),
});
export type SignInSettings = z.infer<typeof SignInSettings>;

/** Settings that are older than this choice do not have it. */
export const createsPeople = ({ signIn }: { signIn?: SignInSettings }): boolean => signIn?.createPeople === true;

export const Settings = z
  .strictObject({
    /** Whether the schedule starts runs. Manual runs work either way; pausing stops everything. */
    automatic: z.boolean(),
    intervalMinutes: z.int().min(5).max(1440),
    paused: z.boolean(),
    people: PeopleSettings,
    groups: GroupSettings,
    attributes: AttributeSettings,
    leaving: LeavingSettings,
    guard: GuardSettings,
    signIn: SignInSettings.default({ createPeople: false }),
  })
  .refine(({ people }) => people.from === "everybody" || people.groups.length > 0, {
    path: ["people", "groups"],
    message: "At least one group, or everybody.",
  });
export type Settings = z.infer<typeof Settings>;

/** Every attribute that comes by default, under its own name. */
export const defaultAttributes: AttributeSettings = Object.fromEntries(
  Object.entries(attributeCatalogue)
    .filter(([, { byDefault }]) => byDefault)
    .map(([name]) => [name, { from: name as CatalogueName, clear: false }]),
);

/** On the side of fewer people: what nobody has chosen does not flow. */
export const defaultSettings: Settings = {
  automatic: true,
  intervalMinutes: 1440,
  paused: false,
  people: {
    from: "everybody",
    groups: [],
    membership: "nested",
    kinds: { members: true, guests: false, disabled: false, withoutMail: false },
    oneByOne: false,
  },
  groups: {
    include: true,
    kinds: { microsoft365: true, security: true, mailEnabledSecurity: false, distribution: false },
    mapping: [],
    unmapped: "import",
  },
  attributes: defaultAttributes,
  leaving: { rule: "deactivate", afterDays: 30 },
  guard: { share: 20, floor: 10, offUntil: null, secondPerson: false },
  signIn: { createPeople: false },
};
