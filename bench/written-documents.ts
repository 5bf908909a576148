/** What an import writes for each person and each membership, and how large the documents are. */
import { entriesOf } from "../src/core/audit/change-log.ts";
import type { DirectoryDoc, LogDoc } from "../src/core/store/documents.ts";

export interface Costs {
  /** Documents written, with their share of the log documents and heads of the commits they went out in. */
  documentsPerPerson: number;
  documentsPerMembership: number;
  /** Staged parts of the run in container `work`, which are dropped at its end; not in the numbers above. */
  stagedPerPerson: number;
  /** Mean bytes as JSON. */
  personBytes: number;
  personLogBytes: number;
  groupBytes: number;
  /** Of a full shard of 1,000 members; per member. */
  membershipBytes: number;
  membershipLogBytes: number;
}

type Subject = "person" | "group" | "members";

/** `commits`: the documents of each commit, in the order they were written. */
export const costs = (
  commits: readonly (readonly DirectoryDoc[])[],
  imported: { people: number; memberships: number; staged: number },
): Costs => {
  const documents = { person: 0, group: 0, members: 0 };
  const logBytes = { person: 0, group: 0, members: 0 };
  let personBytes = 0;
  let groupBytes = 0;
  let groups = 0;
  let shardBytes = 0;
  let members = 0;
  for (const docs of commits) {
    const log = docs.find((doc): doc is LogDoc => doc.kind === "log");
    const subjects = docs.flatMap((doc) => {
      const subject = subjectOf(doc, log);
      return subject ? [subject] : [];
    });
    for (const subject of subjects) documents[subject] += 1 + (docs.length - subjects.length) / subjects.length;
    for (const entry of log ? entriesOf(log) : []) {
      const { sequence: _sequence, ...stored } = entry;
      if (entry.kind === "person" || entry.kind === "group" || entry.kind === "members")
        logBytes[entry.kind] += JSON.stringify(stored).length;
    }
    for (const doc of docs) {
      const bytes = JSON.stringify(doc).length;
      if (doc.kind === "person") personBytes += bytes;
      else if (doc.kind === "group" && subjectOf(doc, log) === "group") {
        groupBytes += bytes;
        groups++;
      } else if (doc.kind === "members") {
        shardBytes += bytes;
        members += doc.members.length;
      }
    }
  }
  const perPerson = (sum: number): number => sum / imported.people;
  const perMembership = (sum: number): number => sum / imported.memberships;
  return {
    documentsPerPerson: perPerson(documents.person),
    documentsPerMembership: perMembership(documents.members),
    stagedPerPerson: perPerson(imported.staged),
    personBytes: perPerson(personBytes),
    personLogBytes: perPerson(logBytes.person),
    groupBytes: groupBytes / groups,
    membershipBytes: shardBytes / members,
    membershipLogBytes: perMembership(logBytes.members),
  };
};

/** A group that is written because its shards changed belongs to its memberships. */
const subjectOf = (doc: DirectoryDoc, log: LogDoc | undefined): Subject | null => {
  if (doc.kind === "person" || doc.kind === "members") return doc.kind;
  if (doc.kind !== "group") return null;
  const object = doc.id.slice(2);
  const entries = log ? entriesOf(log) : [];
  return entries.some((entry) => entry.kind === "group" && entry.object === object) ? "group" : "members";
};
