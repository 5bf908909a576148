/** The chain of every connection in a database, from its first entry to head. */
import { z } from "zod";
import { chainStart } from "../../src/core/audit/change-log.ts";
import { beginWalk, type Finding, type LoggedPart, walkChain } from "../../src/core/audit/walk.ts";
import { documentsIn } from "./traces.ts";

const Head = z.object({ sequence: z.int(), chain: z.string(), ttl: z.int().optional() });
type Head = z.infer<typeof Head>;
const Log = z.object({ first: z.int(), last: z.int(), prev: z.string(), body: z.string() });

/** One line for each log that does not lead to its head. `dump` is all that the database holds. */
export const chainFaults = (dump: string): string[] => {
  const heads = new Map<string, Head>();
  const logs = new Map<string, LoggedPart[]>();
  for (const { container, partitionKey, document } of documentsIn(dump)) {
    if (container !== "directory") continue;
    if (document.kind === "head") heads.set(partitionKey, Head.parse(document));
    if (document.kind === "log") logs.set(partitionKey, [...(logs.get(partitionKey) ?? []), Log.parse(document)]);
  }
  return [...heads].flatMap(([connectionId, head]) => {
    // What is left of a deleted connection for a day.
    const finding = head.ttl === undefined ? findingIn(connectionId, head, logs.get(connectionId) ?? []) : null;
    return finding ? [`${connectionId}: ${JSON.stringify(finding)}`] : [];
  });
};

const findingIn = (connectionId: string, head: Head, docs: readonly LoggedPart[]): Finding | null => {
  const walk = walkChain(beginWalk({ sequence: 0, chain: chainStart(connectionId) }), [{ ...head, by: "head" }]);
  for (const doc of docs.toSorted((one, other) => one.first - other.first)) {
    const finding = walk.take(doc);
    if (finding) return finding;
  }
  const { sequence } = walk.state;
  // Nobody would ever read what lies beyond head.
  if (sequence > head.sequence) return { fault: "malformed", first: head.sequence + 1, last: sequence };
  return walk.end();
};
