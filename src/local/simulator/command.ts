/** What a command is: plain JSON in, checked, and plain JSON out. */
import { z } from "zod";
import { DirectoryRefusal } from "./directory/entra-rules.ts";

/** The asker's fault; the control port answers 400. */
export class CommandRefusal extends Error {}

export const command = <Input extends z.ZodType, Output extends object>(
  input: Input,
  carryOut: (asked: z.output<Input>) => Output,
) => {
  const answer = (asked: unknown): Output => {
    const parsed = input.safeParse(asked);
    if (!parsed.success) throw new CommandRefusal(z.prettifyError(parsed.error));
    try {
      return carryOut(parsed.data);
    } catch (error) {
      if (error instanceof DirectoryRefusal) throw new CommandRefusal(error.message, { cause: error });
      throw error;
    }
  };
  return { answer, run: (asked: z.input<Input>): Output => answer(asked) };
};
