/** The simulated Microsoft on sockets: Entra ID and Graph behind TLS on ports of their own, and the control port. */
import { randomBytes } from "node:crypto";
import { type Commands, createCommands } from "./commands.ts";
import { createControl } from "./control.ts";
import { createEntra, type Entra } from "./entra/entra.ts";
import { httpsEndpoints, validate } from "./graph/endpoints.ts";
import { createGraph, type Graph } from "./graph/graph.ts";
import { createNotifier, type Notifier } from "./graph/notifier.ts";
import { createOutbox } from "./graph/outbox.ts";
import { type Listener, type ListenOptions, listen } from "./listen.ts";
import type { World } from "./world.ts";
import { linkKey, openWorld, type StoredWorld } from "./world-store.ts";

export interface SimulatorOptions {
  tls: { key: string; cert: string };
  /** Absent or 0: any free port. */
  entraPort?: number;
  graphPort?: number;
  controlPort?: number;
  /** Where the world survives; absent: in memory only. */
  dataDir?: string;
  /** Makes the behaviour that is left to chance repeatable. */
  seed?: number;
  /** Kept secret across restarts by whoever passes it; absent: random. */
  controlSecret?: string;
  /** PEM text of the authority that endpoints of notifications are trusted by; absent: what this process trusts. */
  trust?: string;
}

export interface Simulator {
  /** `https://localhost:<port>` */
  entraUrl: string;
  /** `https://localhost:<port>/v1.0` */
  graphUrl: string;
  /** `http://127.0.0.1:<port>` */
  controlUrl: string;
  /** Value of the header `x-control-secret`. */
  controlSecret: string;
  world: World;
  entra: Entra;
  graph: Graph;
  notifier: Notifier;
  /** What the control port offers, in process. */
  commands: Commands;
  close: () => Promise<void>;
}

export const startSimulator = async (options: SimulatorOptions): Promise<Simulator> => {
  let clockOffset = 0;
  const world: StoredWorld = openWorld(
    options.dataDir,
    () => Date.now() + clockOffset,
    (tenant, mutation) => notifier.changed(tenant, mutation),
  );
  const endpoints = httpsEndpoints(options.trust);
  let entraUrl = "";
  let graphUrl = "";
  const entra = createEntra(world, { url: () => entraUrl });
  const graph = createGraph(world, {
    url: () => graphUrl,
    verifyToken: (authorization) => entra.verifyGraphToken(authorization),
    linkKey: linkKey(options.dataDir),
    seed: options.seed ?? 1,
    subscriptions: {
      validate: (url) => validate(endpoints, url),
      changed: () => {
        world.save();
        notifier.catchUp();
      },
    },
  });
  const notifier: Notifier = createNotifier({
    world,
    traits: (tid) => graph.switches.of(tid),
    outbox: createOutbox({ now: () => world.now(), endpoints }),
    seed: options.seed ?? 1,
  });
  const commands = createCommands({
    world,
    graph,
    notifier,
    entraSwitches: entra.switches,
    advance: (milliseconds) => {
      clockOffset += milliseconds;
    },
  });
  const controlSecret = options.controlSecret ?? randomBytes(24).toString("base64url");

  const listeners: Listener[] = [];
  const start = async (service: ListenOptions): Promise<number> => {
    const listener = await listen(service);
    listeners.push(listener);
    return listener.port;
  };
  const close = async (): Promise<void> => {
    notifier.close();
    await Promise.all(listeners.map((listener) => listener.close()));
    endpoints.close();
    world.save();
    world.close();
  };
  try {
    const entraPort = await start({
      tls: options.tls,
      port: options.entraPort ?? 0,
      handle: async (request) => {
        const response = await entra.handle(request);
        world.save();
        return response ?? { status: 404, body: "" };
      },
    });
    entraUrl = `https://localhost:${entraPort}`;
    const graphPort = await start({ tls: options.tls, port: options.graphPort ?? 0, handle: graph.handle });
    graphUrl = `https://localhost:${graphPort}/v1.0`;
    const control = createControl(commands, controlSecret, world.save);
    const controlPort = await start({ port: options.controlPort ?? 0, handle: control });
    notifier.catchUp();
    return {
      entraUrl,
      graphUrl,
      controlUrl: `http://127.0.0.1:${controlPort}`,
      controlSecret,
      world,
      entra,
      graph,
      notifier,
      commands,
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
};
