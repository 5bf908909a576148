/** The function host in a process of its own; see `startHostProcess`. */
import { serveChild } from "../child.ts";
import { type HostOptions, startHost } from "./host.ts";
import type { HostReady } from "./process.ts";

serveChild(async (options: HostOptions) => {
  const host = await startHost(options);
  const ready: HostReady = { url: host.url, tlsUrl: host.tlsUrl, functions: host.functions };
  return { ready, close: () => host.close() };
});
