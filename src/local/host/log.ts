/** What the host and the functions say: one line each. */
import type { LogLevel } from "./contract.ts";

export interface LogEntry {
  level: LogLevel;
  message: string;
  functionName?: string;
  invocationId?: string;
}

export type Log = (entry: LogEntry) => void;

const severity: readonly LogLevel[] = ["trace", "debug", "information", "warning", "error", "critical", "none"];

export const logTo =
  (write: (line: string) => void, from: LogLevel): Log =>
  (entry) => {
    if (severity.indexOf(entry.level) >= severity.indexOf(from)) write(toLine(entry));
  };

const toLine = ({ level, functionName, invocationId, message }: LogEntry): string =>
  [`[${level}]`, functionName ?? "host", invocationId, message.replaceAll(/\r?\n/g, "\\n")].filter(Boolean).join(" ");

export const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
