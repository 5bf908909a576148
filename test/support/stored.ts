/** What the database holds of one connection, for a test that must see that nothing has moved. */
import type { Stack } from "../../src/local/stack.ts";
import { documentsIn, type StoredDocument } from "./traces.ts";

export type StoredFields = StoredDocument["document"];

/** Documents of the connection by id, read beside the API: no faults of the database delay this look, and it leaves no trace. */
export const storedOf = async (
  { cosmos }: Pick<Stack, "cosmos">,
  connectionId: string,
): Promise<Map<string, StoredFields>> => {
  if (!cosmos) throw new Error("The stored documents can be seen in the stand-in only.");
  const all = documentsIn(await cosmos.dump());
  return new Map(
    all
      .filter(({ container, partitionKey }) => container === "directory" && partitionKey === connectionId)
      .map(({ document }) => [document.id, document]),
  );
};

/** Of head: a worker that finds nothing to do takes the lease and gives it back. */
const movedByALook = new Set(["owner", "leaseUntil", "wakeAt", "commitId", "size", "_etag", "_ts"]);

const stillText = (document: StoredFields | undefined): string =>
  JSON.stringify(document, (name, value: unknown) =>
    document?.id === "head" && movedByALook.has(name) ? undefined : value,
  );

/** Ids of documents that are new, gone or different; that a worker has only looked does not count. */
export const changedBetween = (
  before: ReadonlyMap<string, StoredFields>,
  after: ReadonlyMap<string, StoredFields>,
): string[] =>
  [...new Set([...before.keys(), ...after.keys()])].filter(
    (id) => stillText(before.get(id)) !== stillText(after.get(id)),
  );
