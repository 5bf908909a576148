/** The store and the simulated Microsoft, each in a process of its own, for one benchmark. */
import { randomUUID } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type CosmosProcess, startCosmosProcess } from "../src/local/cosmos/process.ts";
import { type SimulatorProcess, startSimulatorProcess } from "../src/local/simulator/process.ts";
import { createCertificateAuthority, trustInThisProcess } from "../src/local/tls.ts";

/** What the app has to know of them; travels to the process that plays the app. */
export interface Addresses {
  cosmos: { endpoint: string; key: string; database: string };
  entraUrl: string;
  graphUrl: string;
  clientId: string;
}

export interface Services {
  cosmos: CosmosProcess;
  simulator: SimulatorProcess;
  addresses: Addresses;
  /** File with the certificate of the authority, for `NODE_EXTRA_CA_CERTS` of other processes. */
  caPath: string;
  stop(): Promise<void>;
}

/** Of the development registration; known only to the simulator and the app of a benchmark. */
export const registrationSecret = "a development secret";

/** They must never be what ends a benchmark of large directories. */
const roomy = { execArgv: ["--max-old-space-size=8192"] };

export const startServices = async (): Promise<Services> => {
  const authority = await createCertificateAuthority();
  trustInThisProcess(authority.caPem);
  const folder = mkdtempSync(join(tmpdir(), "m365-sync-bench-"));
  const caPath = join(folder, "ca.pem");
  writeFileSync(caPath, authority.caPem);
  const tls = await authority.issueServerCertificate();
  const cosmos = await startCosmosProcess({ file: ":memory:" }, roomy);
  const simulator = await startSimulatorProcess({ tls, seed: 1 }, roomy);
  const clientId = randomUUID();
  await simulator.command("register-app", {
    clientId,
    displayName: "Read",
    secrets: [registrationSecret],
    applicationPermissions: ["User.Read.All", "GroupMember.Read.All", "Organization.Read.All"],
  });
  const { endpoint, key, database } = cosmos;
  const { entraUrl, graphUrl } = simulator;
  return {
    cosmos,
    simulator,
    addresses: { cosmos: { endpoint, key, database }, entraUrl, graphUrl, clientId },
    caPath,
    stop: async () => {
      await Promise.all([cosmos.stop(), simulator.stop()]);
      rmSync(folder, { recursive: true });
    },
  };
};
