/**
 * One part of the embedded stack in a process of its own. The parent calls `startChild` with a module that calls `serveChild`.
 * Options travel over the IPC channel, never in arguments or the environment, where other processes could read keys.
 * A child ends when it is told to, and when its parent is gone, however the parent went.
 */
import { type ChildProcess, fork } from "node:child_process";
import { createInterface } from "node:readline";
import type { Readable } from "node:stream";
import { fileURLToPath } from "node:url";

export interface Child<R> {
  /** What the child answered when it had started, e.g. its address. */
  ready: R;
  pid: number;
  exited: Promise<ChildExit>;
  /** Asks the child to close, kills it when it does not within 15 seconds; resolves when it is gone. */
  stop(): Promise<void>;
  /** SIGKILL: nothing in the child gets a chance to tidy up. */
  kill(): Promise<void>;
}

export interface ChildExit {
  code: number | null;
  signal: NodeJS.Signals | null;
}

export interface ChildExtras {
  /** Added to the environment of this process. */
  env?: Record<string, string>;
  /** Flags of node itself, e.g. `--max-old-space-size=512`. */
  execArgv?: string[];
  /** Each line of the child's standard output and error; absent: written to our standard error. */
  onOutput?: (line: string) => void;
}

type ToChild<O> = { kind: "start"; options: O } | { kind: "close" };
type ToParent<R> = { kind: "ready"; ready: R } | { kind: "failed"; message: string };

const stopWithinMs = 15_000;
const closeWithinMs = 12_000;
const linesKeptForFailure = 20;

/** Rejects with the child's own message when its start throws, or with its last output when it ends before it is ready. */
export const startChild = async <O, R>(
  module: URL | string,
  options: O,
  extra: ChildExtras = {},
): Promise<Child<R>> => {
  const path = module instanceof URL || module.startsWith("file:") ? fileURLToPath(module) : module;
  const child = fork(path, [], {
    execPath: process.execPath,
    execArgv: extra.execArgv ?? [],
    env: { ...process.env, ...extra.env },
    serialization: "advanced",
    stdio: ["ignore", "pipe", "pipe", "ipc"],
  });
  const lastLines = forwardOutput(child, extra.onOutput ?? ((line) => process.stderr.write(`${line}\n`)));
  const exited = new Promise<ChildExit>((resolve) => {
    child.once("exit", (code, signal) => resolve({ code, signal }));
  });
  const ready = await new Promise<R>((resolve, reject) => {
    child.once("error", reject);
    child.once("message", (message) => {
      const answer = message as ToParent<R>;
      if (answer.kind === "ready") resolve(answer.ready);
      else reject(new Error(answer.message));
    });
    // "close" comes after "exit" and after the last line of output, which usually says why.
    child.once("close", (code, signal) =>
      reject(new Error(`${path} ended (${signal ?? code}) before it was ready\n${lastLines.join("\n")}`)),
    );
    const start: ToChild<O> = { kind: "start", options };
    child.send(start, ignoreClosedChannel);
  }).catch((error: unknown) => {
    child.kill("SIGKILL");
    throw error;
  });
  return {
    ready,
    pid: child.pid ?? 0,
    exited,
    stop: async () => {
      const message: ToChild<O> = { kind: "close" };
      if (child.connected) child.send(message, ignoreClosedChannel);
      const tooLong = setTimeout(() => child.kill("SIGKILL"), stopWithinMs);
      await exited;
      clearTimeout(tooLong);
    },
    kill: async () => {
      child.kill("SIGKILL");
      await exited;
    },
  };
};

/** Called once by the module of a child. `close` is called at most once, and only after `start` has succeeded. */
export const serveChild = <O, R>(start: (options: O) => Promise<{ ready: R; close(): Promise<void> }>): void => {
  if (!process.send) throw new Error("This module is started by another process of the stack, not by hand.");
  let started: Promise<{ close(): Promise<void> }> | undefined;
  let leaving = false;

  const leave = (): void => {
    if (leaving) return;
    leaving = true;
    setTimeout(() => process.exit(1), closeWithinMs).unref();
    Promise.resolve(started)
      .then((running) => running?.close())
      .then(
        () => process.exit(0),
        (error: unknown) => {
          console.error(error);
          process.exit(1);
        },
      );
  };
  const tellParent = (message: ToParent<R>, sent?: () => void): void => {
    if (process.connected) process.send?.(message, sent ?? ignoreClosedChannel);
    else sent?.();
  };

  process.on("message", (message) => {
    const order = message as ToChild<O>;
    if (order.kind === "close") return leave();
    const starting = start(order.options);
    started = starting;
    starting.then(
      ({ ready }) => tellParent({ kind: "ready", ready }),
      (error: unknown) => {
        console.error(error);
        tellParent({ kind: "failed", message: error instanceof Error ? error.message : String(error) }, () =>
          process.exit(1),
        );
      },
    );
  });
  process.on("disconnect", leave);
  process.on("SIGTERM", leave);
  // When the parent is gone so are the readers of our output: that must not interrupt closing.
  process.stdout.on("error", () => undefined);
  process.stderr.on("error", () => undefined);
  // Ctrl+C reaches the whole process group: the parent decides what ends in which order.
  process.on("SIGINT", () => undefined);
};

const forwardOutput = (child: ChildProcess, onOutput: (line: string) => void): string[] => {
  const lastLines: string[] = [];
  const forward = (stream: Readable | null): void => {
    if (!stream) return;
    createInterface({ input: stream, crlfDelay: Number.POSITIVE_INFINITY }).on("line", (line) => {
      lastLines.push(line);
      if (lastLines.length > linesKeptForFailure) lastLines.shift();
      onOutput(line);
    });
  };
  forward(child.stdout);
  forward(child.stderr);
  return lastLines;
};

/** A send that meets a channel already closed is no fault of its own: "exit" tells the story. */
const ignoreClosedChannel = (): void => undefined;
