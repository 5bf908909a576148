/** What mails need of the outside: jobs that outlive a worker, a server that takes a mail, and who the administrator is now. */
import type { ConnectionContext } from "../context.ts";
import type { Sealed } from "../crypto/seal.ts";
import type { Stored } from "../store/documents.ts";
import type { HintQueue } from "../store/ports.ts";
import type { GroupNames } from "./group-names.ts";

/** A mail that has not been taken by the server yet. */
export interface MailJob {
  connectionId: string;
  runId: string;
  /** When it is to be tried next, ms; null = not before somebody asks for it. */
  dueAt: number | null;
  /** A worker is at it until then, ms; a worker that died leaves this behind. */
  sendingUntil: number | null;
  attempts: number;
  /** How many times it was handed to the server without an answer: each of them may have arrived. */
  unanswered: number;
  /** When it is forgotten, ms; no later write extends it. */
  expiresAt: number;
  content: Sealed<GroupNames>;
}

export interface MailName {
  connectionId: string;
  runId: string;
}

/** Container `state`: one logical partition for all jobs, so that the timer finds those that are due; one for each connection's counts. */
export interface MailJobStore {
  /** Replaces an earlier job of the run. */
  put(job: MailJob): Promise<void>;
  read(name: MailName): Promise<Stored<MailJob> | null>;
  /** The job as it is now, or null when somebody else was faster. */
  replace(job: Stored<MailJob>): Promise<Stored<MailJob> | null>;
  remove(name: MailName): Promise<void>;
  due(now: number, limit: number): Promise<MailName[]>;
  /** Takes one of the `most` places of a connection's day (`2026-01-31`); false when all are taken. */
  takePlace(connectionId: string, day: string, most: number): Promise<boolean>;
  givePlaceBack(connectionId: string, day: string): Promise<void>;
}

/** Where a run leaves its mail. */
export interface MailOutbox {
  jobs: MailJobStore;
  hints: HintQueue;
}

export interface Mail {
  to: string;
  subject: string;
  text: string;
  html: string;
  /** The same for each try, so that a mail program can tell a repetition. */
  id: string;
}

/**
 * `unavailable`: not taken, later perhaps. `refused`: not taken, for good. `unanswered`: the connection ended before the answer
 * came, so it may have been taken.
 */
export type MailOutcome = "taken" | "unavailable" | "refused" | "unanswered";

export interface MailServer {
  send(mail: Mail): Promise<MailOutcome>;
}

export interface Administrator {
  mail: string | null;
  userPrincipalName: string | null;
  enabled: boolean;
}

export interface RecipientSource {
  /** By object id, as Microsoft Graph has it now; null when it has nobody of that id. */
  administrator(connection: ConnectionContext, oid: string): Promise<Administrator | null>;
  verifiedDomains(connection: ConnectionContext): Promise<string[]>;
}
