/** The steps of the setup with current values: forms from the schema of the settings, words from `texts.ts`. Pure. */
import { z } from "zod";
import { Settings } from "../connections/settings.ts";
import { attributeCatalogue } from "../directory/attributes.ts";
import { collections, fieldTexts, type SettingPath, type StepId, type StepText, stepTexts } from "./texts.ts";

export const stepIds = stepTexts.map(({ id }) => id) as [StepId, ...StepId[]];

export const isFinished = ({ wizard }: { wizard: { done: readonly StepId[] } }): boolean =>
  wizard.done.includes("finish");

const Depends = z.strictObject({ path: z.string(), is: z.union([z.boolean(), z.string()]) }).nullable();

const Field = z.strictObject({
  /** Where the value stands in the settings, with dots: the fields of all steps together are the whole settings. */
  path: z.string(),
  label: z.string(),
  help: z.string().nullable(),
  type: z.enum(["switch", "number", "choice", "instant", ...collections]),
  /** What may be chosen; of an attribute mapping, the properties. Null: there is no fixed list. */
  choices: z.array(z.strictObject({ value: z.string(), label: z.string() })).nullable(),
  /** Least and greatest number, or number of items. */
  min: z.number().nullable(),
  max: z.number().nullable(),
  value: z.unknown(),
  depends: Depends,
});
export type Field = z.infer<typeof Field>;

export const Step = z.strictObject({
  id: z.enum(stepIds),
  title: z.string(),
  text: z.string(),
  fields: z.array(Field),
  /** The step, or field, is to be shown while that setting has this value; null = always. */
  depends: Depends,
  done: z.boolean(),
  /** One sentence, when something stands in the way of finishing. */
  problem: z.string().nullable(),
});
export type Step = z.infer<typeof Step>;

/** What the steps need to know beside the settings. */
export interface SetupState {
  done: readonly string[];
  /** Why the directory cannot be read at the moment; null = it can. */
  unreadable: string | null;
  /** A dry run has ended under these very settings. */
  tested: boolean;
}

export const stepsOf = (settings: Settings, state: SetupState): Step[] =>
  stepTexts.map((text: StepText & { id: StepId }) => ({
    id: text.id,
    title: text.title,
    text: text.text,
    fields: forms.filter(({ path }) => fieldTexts[path].step === text.id).map((form) => fieldOf(form, settings)),
    depends: text.depends ?? null,
    done: state.done.includes(text.id),
    problem: problemOf(text.id, settings, state),
  }));

const anyOf = (switches: Readonly<Record<string, boolean>>): boolean => Object.values(switches).includes(true);

/** The settings are valid whenever they are stored; these are choices by which nobody or nothing would come. */
const problemOf = (step: StepId, { people, groups }: Settings, state: SetupState): string | null => {
  switch (step) {
    case "introduction":
      return state.unreadable;
    case "group-kinds":
      return groups.include && !anyOf(groups.kinds) ? "No kind of group is switched on, so no group would come." : null;
    case "group-mapping":
      return groups.include && groups.unmapped === "leave-out" && groups.mapping.length === 0
        ? "No group stands for one of the product, and all others stay out, so no group would come."
        : null;
    case "account-kinds":
      return people.kinds.members || people.kinds.guests
        ? null
        : "Neither members nor guests are switched on, so nobody would come.";
    case "test":
      return state.tested ? null : "No test sync has ended since the settings were last changed.";
    default:
      return null;
  }
};

type JsonSchema = z.core.JSONSchema.JSONSchema;
interface Form {
  path: SettingPath;
  schema: JsonSchema;
}

/** What is chosen on its own: everything in the schema that has no named parts. */
const formsIn = (schema: JsonSchema, above: string[] = []): { path: string; schema: JsonSchema }[] =>
  schema.properties === undefined
    ? [{ path: above.join("."), schema }]
    : Object.entries(schema.properties).flatMap(([name, part]) =>
        typeof part === "boolean" ? [] : formsIn(part, [...above, name]),
      );

const isSettingPath = (path: string): path is SettingPath => Object.hasOwn(fieldTexts, path);

const order = Object.keys(fieldTexts);
const forms: readonly Form[] = formsIn(z.toJSONSchema(Settings, { io: "input" }))
  .flatMap(({ path, schema }) => (isSettingPath(path) ? [{ path, schema }] : []))
  .toSorted((a, b) => order.indexOf(a.path) - order.indexOf(b.path));

const fieldOf = ({ path, schema }: Form, settings: Settings): Field => {
  const text = fieldTexts[path];
  const type = "type" in text ? text.type : plainType(schema);
  return {
    path,
    label: text.label,
    help: text.help ?? null,
    type,
    choices: choicesOf(text, type),
    min: schema.minimum ?? schema.minItems ?? null,
    max: schema.maximum ?? schema.maxItems ?? null,
    value: valueAt(settings, path),
    depends: text.depends ?? null,
  };
};

const plainType = ({ type, enum: values }: JsonSchema): Field["type"] => {
  if (type === "boolean") return "switch";
  if (type === "integer") return "number";
  return values ? "choice" : "instant";
};

const choicesOf = (text: (typeof fieldTexts)[SettingPath], type: Field["type"]): Field["choices"] => {
  if (type === "attribute-mapping")
    return Object.entries(attributeCatalogue).map(([value, { description }]) => ({ value, label: description }));
  return "choices" in text ? Object.entries(text.choices).map(([value, label]) => ({ value, label })) : null;
};

const valueAt = (settings: Settings, path: string): unknown =>
  path
    .split(".")
    .reduce<unknown>(
      (value, name) => (typeof value === "object" && value !== null ? Reflect.get(value, name) : undefined),
      settings,
    );
