/** How a call ends: the code of the problem, or `none`. What is no problem of ours is thrown. */
import { isAppError } from "../../src/core/errors.ts";

export const codeOf = async (call: Promise<unknown>): Promise<string> => {
  try {
    await call;
    return "none";
  } catch (error) {
    if (isAppError(error)) return error.code;
    throw error;
  }
};
