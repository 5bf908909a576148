import type { RawObject } from "../ports.ts";

/** One occurrence says gone, another says there: the feed promises no order, so neither is believed. */
export const contradicts = (said: "there" | "gone" | null, object: RawObject): boolean =>
  said !== null && (said === "gone") !== (object.removed !== undefined);
