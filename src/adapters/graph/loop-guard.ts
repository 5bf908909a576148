/** Graph is known to send the same page again and again under links that differ; such a read would never end. */
import { createHash } from "node:crypto";
import { AppError } from "../../core/errors.ts";

const equalPagesInRow = 5;
/** Empty pages are ordinary and may come many times in a row. */
const emptyPagesInRow = 1_000;

/** Pages are equal that tell of the same objects; of a large group, also of the same members. */
interface Told {
  id: string;
  members?: readonly { id: string }[];
}

const fingerprint = (objects: readonly Told[]): string => {
  const told = objects.map(({ id, members }) => [id, members?.length, members?.[0]?.id, members?.at(-1)?.id]);
  return createHash("sha256").update(JSON.stringify(told)).digest("base64");
};

export interface LoopGuard {
  /** `link` is the one that was asked for. Throws `graph-unavailable` when one page too many was equal to those before it. */
  check(read: string, link: string | null, page: { objects: readonly Told[]; ends: boolean }): void;
}

/** Remembers the last page of each read that is under way in this process. */
export const loopGuard = (): LoopGuard => {
  const reads = new Map<string, { hash: string; link: string | null; times: number }>();
  return {
    check: (read, link, { objects, ends }) => {
      const before = reads.get(read);
      reads.delete(read);
      if (ends) return;
      const hash = fingerprint(objects);
      const equalBefore = before?.hash === hash ? before.times : 0;
      // The same link again is a repetition of ours, after a crash or a pause.
      const times = equalBefore > 0 && before?.link === link ? equalBefore : equalBefore + 1;
      reads.set(read, { hash, link, times });
      if (times >= (objects.length === 0 ? emptyPagesInRow : equalPagesInRow))
        throw new AppError("graph-unavailable", { detail: `loop: ${times} equal pages` });
    },
  };
};
