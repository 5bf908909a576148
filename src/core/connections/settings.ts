/** What an administrator chose about the directory sync of one connection. Unknown fields are refused. */
import { z } from "zod";

export const Settings = z.strictObject({
  /** Whether the schedule starts runs. Manual runs work either way; pausing stops everything. */
  automatic: z.boolean(),
  intervalMinutes: z.int().min(5).max(1440),
  paused: z.boolean(),
});
export type Settings = z.infer<typeof Settings>;

export const defaultSettings: Settings = { automatic: true, intervalMinutes: 1440, paused: false };
