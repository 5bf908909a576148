/**
 * The events of the change feed as one JSON Schema. A type is kind and operation of an entry of the change log; whoever adds an
 * operation there adds its line here. Members that may be left out can be added to an event without a new version.
 */
import { z } from "zod";
import type { EntryKind, Operation } from "../audit/entries.ts";
import { ChangeView } from "../views/changes.ts";
import { MatchHints } from "./match-hints.ts";

const eventTexts = {
  "connection.created": "A draft of the connection was made.",
  "connection.updated":
    "The connection was renamed, changed its state, or is to be deleted. With the code of a problem as evidence it needs attention or is in quarantine; `recovered` ends that.",
  "tier.updated":
    "A tier of access was wanted, approved, confirmed or taken back; `object` is the tier. With the code of a problem as evidence Microsoft no longer lets it be used; `recovered` ends that.",
  "settings.updated": "Somebody changed the settings of the directory sync.",
  "security.updated":
    "Somebody changed who may do what on this connection, or its keys are being replaced (`object` is `keys`). What changed is told to `integration:secure` and `audit:read` only.",
  "run.requested": "Somebody asked for a run; `object` is the run.",
  "run.updated": "Somebody asked for the mail of a dry run again.",
  "run.stopped": "The guard has stopped the plan of a run, which now waits for approval.",
  "run.approved": "Somebody let a stopped plan go on.",
  "run.cancelled": "Somebody ended a run, or rejected its plan.",
  "run.ended":
    "A run has ended. Without evidence the directory is here as it was read. The evidence `dry-run` says that nothing was applied; `cancelled`, `expired` or the code of a problem, that nothing more was.",
  "person.created": "A person is new; `object` is the person. `groups` are those the person is in.",
  "person.updated":
    "Fields of a person have changed. With the evidence `account-disabled` the account was switched off in Microsoft 365, also where no field tells of it.",
  "person.deactivated":
    "A person is no longer synchronised, for the reason in `evidence`; the memberships end with it.",
  "person.kept":
    "A person no longer belongs to the sync, for the reason in `evidence`, and stays as the settings want it: nothing more is told of the person until it is synchronised again.",
  "person.removed":
    "What was kept of a person who had left is gone; the link to a product user stays. With the evidence `stub-ended`, years later, the link is gone as well: whoever comes back is somebody new.",
  "person.erased":
    "A person was erased, with the link to a product user and the memberships: what the product holds of the person is to go as well. Of earlier changes the content is `erased`.",
  "person.enabled": "Somebody switched the synchronisation of a person on by hand.",
  "person.excluded": "Somebody switched the synchronisation of a person off by hand.",
  "person.revived":
    "A person is synchronised again. `groups` are those the person is in; a link to a product user still holds.",
  "group.created": "A group is new; `object` is the group.",
  "group.updated": "Fields of a group have changed.",
  "group.removed": "A group is gone, with its memberships.",
  "members.changed":
    "People or nested groups came into a group or left it; `object` is the group. Nested groups are named while they are known to the product; of one that comes later, what it lies in is told then.",
  "product-user.changed":
    "A person was linked to a user of the product, or the link has ended; `object` is the person.",
  "operation.intended":
    "Something is about to be done in Microsoft 365; `object` is the operation, `operation` its name, `person` or `group` what it is about.",
  "operation.done": "Microsoft 365 has done it. With the evidence `checked` that was found out afterwards.",
  "operation.refused": "Microsoft 365 has not done it; `evidence` is the code of a problem, or `checked`.",
  "operation.unknown": "Nobody could find out whether it was done.",
  "entry.unreadable":
    "An entry was altered after it was recorded, so that nobody can tell what it was about. Have the log verified, and read a snapshot.",
} as const satisfies Partial<Record<`${EntryKind}.${Operation}`, string>>;
type EventType = keyof typeof eventTexts;

const FieldValue = z.union([z.string(), z.boolean(), z.array(z.string())]).nullable();
const fieldChanges = z.array(z.object({ field: z.string(), before: FieldValue, after: FieldValue }));

const { kind: _kind, op: _op, type: _type, matchHints: _hints, ...members } = ChangeView.shape;
const {
  run,
  blocked,
  evidence,
  correlationId,
  productGroup,
  groups,
  added,
  removed,
  childrenAdded,
  childrenRemoved,
  operation,
  person,
  group,
  ...always
} = members;

/** What an event of a kind has beside the members of every event. */
const partsOf = {
  connection: { run, evidence, correlationId },
  tier: { correlationId, evidence },
  settings: { correlationId },
  security: { correlationId },
  run: { run, evidence, correlationId },
  person: { run, evidence, correlationId, groups, blocked, changes: fieldChanges },
  group: { run, evidence, productGroup, changes: fieldChanges },
  members: { run, evidence, productGroup, added, removed, childrenAdded, childrenRemoved },
  "product-user": { correlationId, changes: fieldChanges },
  operation: { correlationId, evidence, operation, person, group },
  entry: {},
} satisfies Record<EntryKind, z.core.$ZodLooseShape>;

const eventSchema = (type: EventType) => {
  const [kind = "", op = ""] = type.split(".");
  return z
    .object({
      ...always,
      type: z.literal(type),
      kind: z.literal(kind),
      op: z.literal(op),
      ...partsOf[kind as EntryKind],
      ...(type === "person.created" ? { matchHints: MatchHints.optional() } : {}),
    })
    .meta({ description: eventTexts[type] });
};

export const eventSchemas = new Map<string, ReturnType<typeof eventSchema>>(
  (Object.keys(eventTexts) as EventType[]).map((type) => [type, eventSchema(type)]),
);

export const eventsDocument = (publicBaseUrl: string): Record<string, unknown> => {
  const types = [...eventSchemas.keys()];
  const definitions = [...eventSchemas].map(([type, schema]) => {
    // Of what comes in: that forbids no member that is not known yet.
    const { $schema: _, ...plain } = z.toJSONSchema(schema, { io: "input", unrepresentable: "any" });
    return [type, plain];
  });
  return {
    $schema: "https://json-schema.org/draft/2020-12/schema",
    $id: `${publicBaseUrl}/api/v1/events.json`,
    title: "A change of a data connection, as the change feed tells it",
    oneOf: types.map((type) => ({ $ref: `#/$defs/${type}` })),
    $defs: Object.fromEntries(definitions),
  };
};
