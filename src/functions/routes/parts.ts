/** What rows of several areas share. */
import { z } from "zod";

/** Digits and nothing else: no sign, no exponent, no list of a key that was repeated. */
export const whole = (least: number, most: number) =>
  z.preprocess(
    (text) => (typeof text === "string" && /^\d{1,15}$/.test(text) ? Number(text) : text),
    z.int().min(least).max(most),
  );
export const limit = whole(1, 200).default(50);
export const page = { limit, cursor: z.string().min(1).max(2000).optional() };
export const Paged = z.strictObject(page);

export const maxListBodyBytes = 1_048_576;

export const exportMediaTypes = ["text/csv", "application/jsonl"] as const;

export const all = "api/v1/connections";
export const one = "api/v1/connections/{connection}";
