/** Mutations as they come over the control port. */
import { z } from "zod";
import type { Mutation as DirectoryMutation } from "./directory/state.ts";

const id = z.guid().transform((text) => text.toLowerCase());
const properties = z.record(z.string(), z.unknown());
const memberType = z.enum(["user", "group", "device", "servicePrincipal", "orgContact"]);
const onlyId = <Op extends DirectoryMutation["op"]>(op: Op) => z.object({ op: z.literal(op), id });

export const Mutation = z.discriminatedUnion("op", [
  z.object({
    op: z.literal("create-user"),
    user: z.object({ id, properties, managerId: id.nullable().default(null) }),
  }),
  z.object({ op: z.literal("update-user"), id, set: properties }),
  z.object({ op: z.literal("set-manager"), id, managerId: id.nullable() }),
  onlyId("delete-user"),
  onlyId("restore-user"),
  onlyId("purge-user"),
  z.object({
    op: z.literal("create-group"),
    group: z.object({ id, properties, members: z.array(z.tuple([id, memberType])).default([]) }),
  }),
  z.object({ op: z.literal("update-group"), id, set: properties }),
  onlyId("delete-group"),
  onlyId("restore-group"),
  onlyId("purge-group"),
  z.object({ op: z.literal("add-member"), groupId: id, memberId: id, memberType, byRule: z.boolean().default(false) }),
  z.object({ op: z.literal("remove-member"), groupId: id, memberId: id, byRule: z.boolean().default(false) }),
]);
