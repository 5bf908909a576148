/** Where the vendor's back end wants to hear of changes: configuration of the installation, never of a customer. */
import { createSecretKey, type KeyObject } from "node:crypto";
import { z } from "zod";

export interface WebhookEndpoint {
  id: string;
  url: string;
  /** One, or two while the receiver moves from one to the other. */
  secrets: readonly KeyObject[];
  /** Absent: every workspace. */
  workspaces?: readonly string[] | undefined;
}

const maxEndpoints = 10;

const prefix = "whsec_";
const secretBytes = { least: 24, most: 64 };

/** Form and length are those of https://github.com/standard-webhooks/standard-webhooks (symmetric keys). */
const secret = z.string().transform((text, context): KeyObject => {
  const encoded = text.startsWith(prefix) ? text.slice(prefix.length) : "";
  const bytes = Buffer.from(encoded, "base64");
  const isWhole = bytes.toString("base64") === encoded;
  if (isWhole && bytes.length >= secretBytes.least && bytes.length <= secretBytes.most) return createSecretKey(bytes);
  context.addIssue({ code: "custom", message: "is not whsec_ and base64 of 24 to 64 bytes" });
  return z.NEVER;
});

/** `url` decides which addresses are allowed. */
export const webhookEndpoints = (url: z.ZodType<string, string>) =>
  z
    .array(
      z.strictObject({
        id: z.string().regex(/^[a-z0-9][a-z0-9-]{0,31}$/, "is not 1 to 32 of a-z 0-9 -"),
        url,
        secrets: z.array(secret).min(1, "is empty").max(2, "has more than two"),
        workspaces: z
          .array(z.string().regex(/^[A-Za-z0-9._-]{1,64}$/, "is not a workspace"))
          .min(1, "is empty")
          .optional(),
      }),
      "is not a list",
    )
    .max(maxEndpoints, `has more than ${maxEndpoints}`)
    .refine((list) => new Set(list.map(({ id }) => id)).size === list.length, "names an id twice");

export const endpointsOf = (endpoints: readonly WebhookEndpoint[], workspaceId: string): WebhookEndpoint[] =>
  endpoints.filter(({ workspaces }) => workspaces === undefined || workspaces.includes(workspaceId));
