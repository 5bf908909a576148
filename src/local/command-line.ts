/** What programs that are started by hand share: options that are looked at before they are used, and faults in one line. */
import { z } from "zod";
import { StackFault } from "./stack/fault.ts";

export const whole = (min: number, max: number) => z.coerce.number().pipe(z.int().min(min).max(max));

/** `parse` throws at options that it does not know. */
export const optionsOf = <Options extends z.ZodType>(
  schema: Options,
  parse: () => object,
  usage: string,
): z.output<Options> => {
  let values: object;
  try {
    values = parse();
  } catch (error) {
    throw new StackFault(`${error instanceof Error ? error.message : String(error)}\n${usage}`);
  }
  const options = schema.safeParse(values);
  if (options.success) return options.data;
  const names = options.error.issues.map(({ path }) => `--${path.join(".")}`);
  throw new StackFault(`${names.join(", ")}: not a value for this.\n${usage}`);
};

export const oneLine = (error: unknown): string => {
  if (error instanceof StackFault) return error.message;
  const text = error instanceof Error ? error.message : String(error);
  return text.split("\n")[0] ?? text;
};
