/** What the stack keeps in its data folder. */
import { rmSync } from "node:fs";
import { join } from "node:path";

const files = ["ca.pem", "trusted.pem", "registration.pem", "token-issuer.json", "vault.json", "stack.log"];
const database = ["", "-wal", "-shm"].map((end) => `cosmos.sqlite${end}`);
const folders = ["simulator", "queues", "mail", "timers"];

/** Only what the stack has made: a wrong `--data` must not cost anybody a folder. Ports stay as they were. */
export const emptyDataFolder = (dataDir: string): void => {
  for (const name of [...files, ...database, ...folders]) rmSync(join(dataDir, name), { recursive: true, force: true });
};
