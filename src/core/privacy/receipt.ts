/** From when on something that was destroyed now is gone from where. */
import { iso } from "../ambient.ts";
import type { Receipt } from "../audit/access-log.ts";
import { keyCacheMilliseconds } from "../crypto/keys.ts";
import { backupMilliseconds } from "./ledger.ts";

/** The vault keeps a deleted key as long as the database its backups. */
export const destructionDates = (at: number): Omit<Receipt, "destroyed"> => ({
  live: iso(at),
  caches: iso(at + keyCacheMilliseconds),
  backups: iso(at + backupMilliseconds),
});
