/** The shipped bundle with nothing around it but its queues: no store, no vault and no Microsoft answers. */
import { join, resolve } from "node:path";
import { type HostProcess, startHostProcess } from "../src/local/host/process.ts";
import { registrationSecret } from "./services.ts";

export const clientId = "5b0f7c1e-6a52-4c1d-9a3e-2f4d8e6b7a90";

const project = resolve(import.meta.dirname, "..");
/** Nobody listens there. */
const nowhere = "https://localhost:1";
const product = "https://localhost:2";

/** Timers never come; `onLine` gets what the host says. */
export const startReceiverHost = (
  connectionString: string,
  notificationKeys: string,
  onLine: (line: string) => void = () => {},
): Promise<HostProcess> =>
  startHostProcess(
    {
      entry: join(project, "dist/functions.mjs"),
      appDirectory: project,
      http: { port: 0 },
      queues: { connectionString },
      env: {
        LOCAL_SERVICES: "allowed",
        WAKE_SCHEDULE: "0 0 0 1 1 *",
        AzureWebJobsStorage: connectionString,
        NOTIFICATION_KEYS: notificationKeys,
        ENTRA_AUTHORITY: nowhere,
        GRAPH_BASE_URL: `${nowhere}/v1.0`,
        ENTRA_READ_CLIENT_ID: clientId,
        ENTRA_READ_CLIENT_SECRET: registrationSecret,
        COSMOS_ENDPOINT: nowhere,
        COSMOS_KEY: "a2V5",
        KEY_VAULT_URL: nowhere,
        PUBLIC_BASE_URL: nowhere,
        RETURN_ORIGINS: product,
        API_TOKEN_ISSUERS: JSON.stringify([
          {
            issuer: product,
            audience: "bench",
            jwksUri: `${product}/jwks`,
            claims: { workspace: "workspace", permissions: "permissions" },
          },
        ]),
      },
    },
    { onOutput: onLine },
  );
