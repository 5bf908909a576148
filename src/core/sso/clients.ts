/** The vendor's applications that people sign in to: setting `SSO_CLIENTS`, which no workspace can change. */
import { createHash, timingSafeEqual } from "node:crypto";
import { z } from "zod";

/** What makes a key private or shared; a client's proof is checked with public keys only. */
const secretParts = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

const PublicKey = z
  .looseObject({ kty: z.enum(["EC", "RSA", "OKP"]) })
  .refine((key) => !secretParts.some((part) => part in key), "holds a private key");

const SecretHash = z.string().regex(/^[0-9a-f]{64}$/, "is not a SHA-256 in hexadecimal");

export const ssoClients = (address: z.ZodType<string, string>) =>
  z
    .array(
      z
        .strictObject({
          clientId: z.string().regex(/^[\w.-]{1,64}$/, "is not a client id"),
          redirectUris: z.array(address).min(1, "is empty").max(20),
          postLogoutRedirectUris: z.array(address).max(20).default([]),
          /** Of random secrets of 256 bits, so a plain hash suffices; two may overlap while one replaces the other. */
          secretHash: z.union([SecretHash.transform((hash) => [hash]), z.array(SecretHash).min(1).max(2)]).optional(),
          jwks: z.strictObject({ keys: z.array(PublicKey).min(1).max(4) }).optional(),
          /** May say which user of the product it is who has signed in. */
          linksPeople: z.boolean().default(false),
          workspaces: z.array(z.string().regex(/^[A-Za-z0-9._-]{1,64}$/, "is not a workspace")).optional(),
        })
        .refine(
          ({ secretHash, jwks }) => (secretHash === undefined) !== (jwks === undefined),
          "needs secretHash or jwks, and not both",
        ),
      "is not a list",
    )
    .refine((list) => new Set(list.map(({ clientId }) => clientId)).size === list.length, "names a client twice");

export type SsoClient = z.output<ReturnType<typeof ssoClients>>[number];

export const mayUse = ({ workspaces }: SsoClient, workspaceId: string): boolean =>
  workspaces?.includes(workspaceId) ?? true;

/** Compared with when there is nothing to compare with, so that an unknown client takes as long as a known one. */
const nothing = "0".repeat(64);

export const isSecretOf = (client: SsoClient | undefined, secret: string): client is SsoClient => {
  const given = createHash("sha256").update(secret).digest();
  const hashes = client?.secretHash ?? [nothing];
  return hashes.map((hash) => timingSafeEqual(given, Buffer.from(hash, "hex"))).includes(true) && client !== undefined;
};
