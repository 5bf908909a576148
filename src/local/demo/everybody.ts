/** Settings that admit every account and every kind of group, so that a tenant and what is held of it can be compared whole. */
import { z } from "zod";
import { defaultSettings, type Settings } from "../../core/connections/settings.ts";
import type { Product } from "./product.ts";

export const everybody: Settings = {
  ...defaultSettings,
  people: { ...defaultSettings.people, kinds: { members: true, guests: true, disabled: true, withoutMail: true } },
  groups: {
    ...defaultSettings.groups,
    kinds: { microsoft365: true, security: true, mailEnabledSecurity: true, distribution: true },
  },
};

/** Before the first sync. */
export const admitEverybody = async (
  product: Product,
  connectionId: string,
  guard: Settings["guard"] = everybody.guard,
): Promise<void> => {
  const path = `/connections/${connectionId}/settings`;
  const { etag } = await product.get(path, z.object({ etag: z.string() }));
  await product.put(path, { ...everybody, guard }, etag, z.object({}));
};
