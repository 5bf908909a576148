/**
 * The simulator as a process of its own: started by another part of the stack, which sends the options, or by hand
 * (`npm run simulator`), when it makes its own certificate and prints where it is.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { resolve } from "node:path";
import { parseArgs } from "node:util";
import { z } from "zod";
import { serveChild } from "../child.ts";
import { oneLine, optionsOf, whole } from "../command-line.ts";
import { createCertificateAuthority } from "../tls.ts";
import { type SimulatorOptions, startSimulator } from "./server.ts";

export interface SimulatorAddresses {
  entraUrl: string;
  graphUrl: string;
  controlUrl: string;
  controlSecret: string;
}

const startForParent = async (options: SimulatorOptions) => {
  const { entraUrl, graphUrl, controlUrl, controlSecret, close } = await startSimulator(options);
  const ready: SimulatorAddresses = { entraUrl, graphUrl, controlUrl, controlSecret };
  return { ready, close };
};

const usage = `npm run simulator -- [options]
  --data DIR          where everything is kept (.data/simulator)
  --entra-port N      (7443)
  --graph-port N      (7444)
  --control-port N    (7445)
  --seed S            of what is left to chance (1)`;

const port = whole(0, 65_535);
const Options = z.object({
  data: z.string().min(1),
  "entra-port": port,
  "graph-port": port,
  "control-port": port,
  seed: whole(0, 1_000_000_000),
});

const readOptions = (): z.output<typeof Options> =>
  optionsOf(
    Options,
    () =>
      parseArgs({
        options: {
          data: { type: "string", default: ".data/simulator" },
          "entra-port": { type: "string", default: "7443" },
          "graph-port": { type: "string", default: "7444" },
          "control-port": { type: "string", default: "7445" },
          seed: { type: "string", default: "1" },
        },
      }).values,
    usage,
  );

const startByHand = async (): Promise<void> => {
  const values = readOptions();
  const dataDir = resolve(values.data);
  const authority = await createCertificateAuthority();
  mkdirSync(dataDir, { recursive: true });
  const caPath = resolve(dataDir, "ca.pem");
  writeFileSync(caPath, authority.caPem);
  const simulator = await startSimulator({
    tls: await authority.issueServerCertificate(),
    entraPort: values["entra-port"],
    graphPort: values["graph-port"],
    controlPort: values["control-port"],
    dataDir,
    seed: values.seed,
  });
  console.log(`Entra ID   ${simulator.entraUrl}`);
  console.log(`Graph      ${simulator.graphUrl}`);
  console.log(`Control    ${simulator.controlUrl}   x-control-secret: ${simulator.controlSecret}`);
  console.log(`Trust      NODE_EXTRA_CA_CERTS=${caPath}`);
  console.log("");
  console.log("A tenant to begin with:");
  console.log(
    `curl -sX POST ${simulator.controlUrl}/create-tenant -H 'x-control-secret: ${simulator.controlSecret}' -d '{"seed":1,"users":2000,"groups":150,"domain":"contoso.example"}'`,
  );
  const stop = (): void => {
    simulator.close().then(
      () => process.exit(0),
      () => process.exit(1),
    );
  };
  process.once("SIGINT", stop);
  process.once("SIGTERM", stop);
};

if (process.send) serveChild(startForParent);
else
  await startByHand().catch((error: unknown) => {
    process.stderr.write(`${oneLine(error)}\n`);
    // Some of its ports may be open by then.
    process.exit(1);
  });
