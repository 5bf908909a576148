/**
 * Programs of the product that call in their own name. Only those that the installation lists are taken, each with the most it
 * may do; for which workspace it acts it says with every request. Whom it names beside itself is only asserted.
 */
import { z } from "zod";
import { type Permission, permissions } from "../context.ts";
import { AppError } from "../errors.ts";
import {
  actAs,
  type ClaimMap,
  type Claims,
  isMachineToken,
  rightsOf,
  workspaceOf,
  workspacePattern,
} from "./claims.ts";

const Name = z.string().min(1).max(255);

export const MachineClients = z
  .array(
    z
      .strictObject({
        issuer: z.string().min(1),
        /** The program's `sub`: also where the issuer does not mark tokens of programs. */
        subject: Name.optional(),
        /** Its `client_id` (`azp`, `cid`, `appid`): only in tokens that are marked, since people's tokens carry it too. */
        clientId: Name.optional(),
        /** The most it may do, whatever its token says. */
        permissions: z.array(z.enum(permissions)).min(1, "names no permission"),
        /** Absent: all. */
        workspaces: z.array(z.string().regex(workspacePattern, "is no workspace")).min(1, "is empty").optional(),
      })
      .refine(({ subject, clientId }) => (subject === undefined) !== (clientId === undefined), {
        error: "names not exactly one of subject and clientId",
      }),
    "is not a list",
  )
  .refine(
    (clients) =>
      new Set(clients.map(({ issuer, subject, clientId }) => JSON.stringify([issuer, subject, clientId]))).size ===
      clients.length,
    "names a client twice",
  );
export type MachineClient = z.infer<typeof MachineClients>[number];

/** A listed program with a valid token. */
export interface Machine {
  kind: "machine";
  subject: string;
  roles: ReadonlySet<string>;
  permissions: ReadonlySet<Permission>;
  mayActAs: boolean;
  /** The workspaces it is listed for; null: all. */
  workspaces: readonly string[] | null;
  /** What its token says of itself, if it does. */
  workspaceId: string | null;
}

/** Null when nobody of this token is listed. */
export const machineClientOf = (
  clients: readonly MachineClient[],
  issuer: string,
  claims: Claims,
): MachineClient | null =>
  clients.find(
    (client) =>
      client.issuer === issuer &&
      (client.subject === undefined ? isOfClient(claims, client.clientId) : claims.sub === client.subject),
  ) ?? null;

const isOfClient = (claims: Claims, clientId: string | undefined): boolean => {
  const named = [claims.client_id, claims.azp, claims.cid, claims.appid].filter((id) => id !== undefined);
  return isMachineToken(claims) && named.length > 0 && named.every((id) => id === clientId);
};

export const machineOf = (client: MachineClient, claims: Claims, map: ClaimMap): Machine => {
  const { granted, roles } = rightsOf(claims, map);
  return {
    kind: "machine",
    subject: client.subject ?? client.clientId ?? "",
    roles,
    permissions: new Set(client.permissions.filter((permission) => granted.has(permission))),
    mayActAs: granted.has(actAs),
    workspaces: client.workspaces ?? null,
    workspaceId: workspaceOf(claims, map),
  };
};

export const workspaceHeader = "x-workspace-id";
export const actorHeader = "x-actor-id";
export const actorIpHeader = "x-actor-ip";

/** Throws `invalid-request` unless the header names a workspace. */
export const askedWorkspace = (header: string | null): string => {
  if (header === null || !workspacePattern.test(header))
    throw new AppError("invalid-request", {
      field: "X-Workspace-Id",
      detail: "A program names the workspace it acts for.",
    });
  return header;
};

/** Why a program may not act for a workspace; null: it may. */
export const actingRefusal = (machine: Machine, workspaceId: string): AppError | null => {
  if (!machine.mayActAs) return new AppError("permission-missing", { detail: `It takes ${actAs}.` });
  const isListed = machine.workspaces?.includes(workspaceId) ?? true;
  const isOwn = (machine.workspaceId ?? workspaceId) === workspaceId;
  return isListed && isOwn
    ? null
    : new AppError("permission-missing", { detail: "This program does not act for that workspace." });
};
