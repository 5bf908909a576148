/**
 * Which port each stand-in has. Links stored with its address must still work after a restart, so ports are written down in
 * the data folder and asked for again.
 */
import { randomInt } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { z } from "zod";
import { StackFault } from "./fault.ts";

export interface PortBook {
  /**
   * Starts a part at its ports of last time (0 = any) and writes down those it has now: one for each name, in the same order
   * as the addresses that the part then has.
   */
  start<Part>(
    names: readonly string[],
    start: (...ports: number[]) => Promise<Part>,
    addressesOf: (part: Part) => readonly string[],
  ): Promise<Part>;
}

/** A part that was killed a moment ago may still be letting go of its port. */
const patienceMs = 10_000;
const retryEveryMs = 500;

/** Without a folder nothing is remembered. */
export const openPortBook = (dataDir: string | undefined): PortBook => {
  const file = dataDir === undefined ? undefined : join(dataDir, "ports.json");
  const remembered =
    file !== undefined && existsSync(file)
      ? z.record(z.string(), z.int()).parse(JSON.parse(readFileSync(file, "utf8")))
      : {};

  const attempt = async <Part>(ports: number[], start: (...ports: number[]) => Promise<Part>): Promise<Part> => {
    const giveUpAt = Date.now() + patienceMs;
    for (;;) {
      try {
        return await start(...ports);
      } catch (error) {
        if (!isTaken(error) || ports.every((port) => port === 0)) throw error;
        if (Date.now() > giveUpAt)
          throw new StackFault(
            `A port of ${dataDir} is taken (${ports.join(", ")}). Is another stack running on the same data? Stop it, or choose another --data.`,
          );
      }
      await delay(retryEveryMs);
    }
  };

  return {
    start: async (names, start, addressesOf) => {
      const part = await attempt(
        names.map((name) => remembered[name] ?? 0),
        start,
      );
      for (const [index, address] of addressesOf(part).entries())
        remembered[names[index] ?? ""] = Number(new URL(address).port);
      if (file !== undefined) writeFileSync(file, `${JSON.stringify(remembered, null, 2)}\n`);
      return part;
    },
  };
};

const isTaken = (error: unknown): boolean => error instanceof Error && error.message.includes("EADDRINUSE");

/** Held as long as the stack lives and let go of by the system however it ends: nobody else works on the same data meanwhile. */
export const holdPort = (port: number): Promise<{ address: string; close(): Promise<void> }> =>
  new Promise((resolve, reject) => {
    const server = createServer((socket) => socket.destroy());
    server.once("error", reject);
    server.listen(port, "127.0.0.1", () => {
      const address = server.address();
      resolve({
        address: `tcp://127.0.0.1:${typeof address === "object" && address ? address.port : port}`,
        close: () => new Promise((closed) => server.close(() => closed())),
      });
    });
  });

/**
 * Below the ports that a system gives to whoever asks for any (from 32768 on Linux): those may be somebody's before the host
 * listens.
 */
const lowestChosenPort = 20_000;
const highestChosenPort = 30_000;

/** The host's two ports: `port` for http, the next one for https. Absent or 0: any two neighbours that are free. */
export const hostPort = async (port: number | undefined): Promise<number> => {
  if (port) {
    for (const one of [port, port + 1])
      if (!(await isFree(one)))
        throw new StackFault(`Port ${one} is taken. Set PORT to another one (http is there, https one above).`);
    return port;
  }
  for (let tries = 0; tries < 50; tries++) {
    const first = randomInt(lowestChosenPort, highestChosenPort);
    if ((await isFree(first)) && (await isFree(first + 1))) return first;
  }
  throw new StackFault("No two neighbouring ports are free.");
};

const isFree = async (port: number): Promise<boolean> => (await holdBriefly(port)) !== null;

const holdBriefly = async (port: number): Promise<number | null> => {
  try {
    const held = await holdPort(port);
    await held.close();
    return Number(new URL(held.address).port);
  } catch (error) {
    if (isTaken(error)) return null;
    throw error;
  }
};
