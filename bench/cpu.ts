/** Processor time of this process and of those it started: what does not depend on who else uses the machine. */
import { readFileSync } from "node:fs";

/** Ticks of `/proc/<pid>/stat`; the same on every Linux that Node runs on. */
const ticksPerSecond = 100;

/** Milliseconds since the process began; null where the system does not tell. */
const ofProcess = (pid: number): number | null => {
  try {
    // Behind the name, which may hold anything: state is field 3, time in user and system mode are 14 and 15.
    const fields = readFileSync(`/proc/${pid}/stat`, "utf8")
      .replace(/^.*\) /s, "")
      .split(" ");
    return ((Number(fields[11]) + Number(fields[12])) * 1000) / ticksPerSecond;
  } catch {
    return null;
  }
};

export interface Spent {
  wall: number;
  app: number;
  /** Store and simulator together; null where the system does not tell. */
  services: number | null;
}

/** Milliseconds that `task` takes, and of processor time. */
export const spent = async (pids: readonly number[], task: () => unknown): Promise<Spent> => {
  const services = (): number | null =>
    pids.map(ofProcess).reduce((sum, one) => (sum === null || one === null ? null : sum + one), 0);
  const [began, own, others] = [performance.now(), process.cpuUsage(), services()];
  await task();
  const { user, system } = process.cpuUsage(own);
  const after = services();
  return {
    wall: performance.now() - began,
    app: (user + system) / 1000,
    services: after === null || others === null ? null : after - others,
  };
};
