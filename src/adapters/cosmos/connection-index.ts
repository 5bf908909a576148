/**
 * Which connections a workspace has: container `connections`. Beside each row stands one whose id is the keyed hash of the
 * name, so that two connections of a workspace cannot take the same name, also not at the same instant.
 */
import type { Container } from "@azure/cosmos";
import { AppError } from "../../core/errors.ts";
import type { ConnectionIndex, ConnectionRow } from "../../core/store/ports.ts";
import { readDocument, repeating, rows, type TransactionOperation, toBody, transaction } from "./requests.ts";

/** Sorts behind every connection id: those begin with a digit. */
const namePrefix = "n:";
const nameRowId = (nameIndex: string): string => `${namePrefix}${nameIndex}`;

const nameRow = (workspaceId: string, connectionId: string, nameIndex: string): TransactionOperation => ({
  operationType: "Create",
  resourceBody: { id: nameRowId(nameIndex), workspaceId, connectionId },
});

export const connectionIndex = (container: Container): ConnectionIndex => {
  const read = async (workspaceId: string, connectionId: string) =>
    connectionId.startsWith(namePrefix) ? null : readDocument<ConnectionRow>(container, workspaceId, connectionId);

  return {
    create: (row) =>
      repeating(async () => {
        const answer = await transaction(container, row.workspaceId, [
          { operationType: "Create", resourceBody: toBody(row) },
          nameRow(row.workspaceId, row.id, row.nameIndex),
        ]);
        if (answer.ok) return;
        if (answer.index === 1) throw new AppError("name-taken");
        // The id is new with every attempt to connect: that it stands here means that an earlier send had worked.
        const existing = await read(row.workspaceId, row.id);
        if (existing?.nameIndex !== row.nameIndex) throw new AppError("unexpected");
      }),

    read: async (workspaceId, connectionId) => {
      const row = await read(workspaceId, connectionId);
      return row ? toRow(row) : null;
    },

    list: async (workspaceId, { after, limit }) => {
      if (!Number.isSafeInteger(limit) || limit < 1) throw new RangeError("a limit is at least 1");
      const query = `SELECT TOP ${limit} * FROM c WHERE c.id > @after AND c.id < @names ORDER BY c.id ASC`;
      const found = await rows<ConnectionRow>(container, workspaceId, query, { after: after ?? "", names: namePrefix });
      return found.map(toRow);
    },

    rename: (workspaceId, connectionId, nameIndex) =>
      repeating(async () => {
        const row = await read(workspaceId, connectionId);
        if (!row) throw new AppError("connection-not-found");
        if (row.nameIndex === nameIndex) return;
        const renamed: ConnectionRow = { ...toRow(row), nameIndex };
        const answer = await transaction(container, workspaceId, [
          { operationType: "Replace", id: connectionId, ifMatch: row._etag, resourceBody: toBody(renamed) },
          nameRow(workspaceId, connectionId, nameIndex),
          { operationType: "Delete", id: nameRowId(row.nameIndex) },
        ]);
        if (answer.ok) return;
        throw new AppError(answer.index === 1 ? "name-taken" : "changed-meanwhile");
      }),

    remove: (workspaceId, connectionId) =>
      repeating(async () => {
        const row = await read(workspaceId, connectionId);
        if (!row) return;
        const answer = await transaction(container, workspaceId, [
          { operationType: "Delete", id: connectionId, ifMatch: row._etag },
          { operationType: "Delete", id: nameRowId(row.nameIndex) },
        ]);
        if (!answer.ok && answer.status !== 404) throw new AppError("changed-meanwhile");
      }),
  };
};

const toRow = ({ id, workspaceId, nameIndex, createdAt }: ConnectionRow): ConnectionRow => ({
  id,
  workspaceId,
  nameIndex,
  createdAt,
});
