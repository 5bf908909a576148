import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { exportJWK, generateKeyPair, type JWK, SignJWT } from "jose";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ClaimMap } from "../../src/core/access/claims.ts";
import { isAppError } from "../../src/core/errors.ts";
import { callerVerifier } from "../../src/functions/edge/caller.ts";

const issuer = "https://login.product.example";
const audience = "https://sync.example";
let status = 200;
let keys: JWK[] = [];
let fetched = 0;
const server = createServer((_request, response) => {
  fetched++;
  response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify({ keys }));
});
let jwksUri = "";
beforeAll(async () => {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  jwksUri = `http://127.0.0.1:${(server.address() as AddressInfo).port}/keys`;
});
afterAll(() => new Promise((resolve) => server.close(resolve)));

/** The problem code, or who calls. A verifier of its own, because key sets are remembered. */
const verdict = async (token: string, uri = jwksUri): Promise<string> => {
  const claims = ClaimMap.parse({ workspace: "ws", permissions: "scope" });
  const verify = callerVerifier([{ issuer, audience, jwksUri: uri, typ: "at+jwt", claims }], Date.now);
  try {
    const { workspaceId, subject, permissions } = await verify(`Bearer ${token}`);
    return [workspaceId, subject, ...permissions].join(" ");
  } catch (error) {
    if (isAppError(error)) return error.code;
    throw error;
  }
};

const signed = async (alg: string, kid = "k1"): Promise<string> => {
  const { privateKey, publicKey } = await generateKeyPair(alg, { extractable: true });
  keys = [{ ...(await exportJWK(publicKey)), kid: "k1", alg, use: "sig" }];
  return new SignJWT({ ws: "acme", scope: "openid directory:read" })
    .setProtectedHeader({ alg, typ: "at+jwt", kid })
    .setIssuer(issuer)
    .setAudience(audience)
    .setSubject("ada")
    .setIssuedAt()
    .setExpirationTime("10m")
    .sign(privateKey);
};

describe("keys of an issuer", () => {
  test.each(["ES256", "RS256", "PS256", "EdDSA"])("may be for %s", async (alg) => {
    expect(await verdict(await signed(alg))).toBe("acme ada directory:read");
  });

  test.each(["RS384", "RS512", "PS512", "ES384"])("are not taken for %s", async (alg) => {
    expect(await verdict(await signed(alg))).toBe("token-invalid");
  });

  test("must hold the very key that the token names", async () => {
    expect(await verdict(await signed("ES256", "k2"))).toBe("token-invalid");
  });

  test("are fetched once for a while, however many tokens name keys that nobody has", async () => {
    const claims = ClaimMap.parse({ workspace: "ws", permissions: "scope" });
    const verify = callerVerifier([{ issuer, audience, jwksUri, typ: "at+jwt", claims }], Date.now);
    const good = await signed("ES256");
    const known = keys;
    const unknown = await Promise.all(["k2", "k3", "k4"].map((kid) => signed("ES256", kid)));
    keys = known;
    fetched = 0;
    expect((await verify(`Bearer ${good}`)).subject).toBe("ada");
    for (const token of unknown)
      await expect(verify(`Bearer ${token}`)).rejects.toMatchObject({ code: "token-invalid" });
    expect((await verify(`Bearer ${good}`)).subject).toBe("ada");
    expect(fetched).toBe(1);
  });

  test("that cannot be read are no fault of the token", async () => {
    const token = await signed("ES256");
    status = 500;
    expect(await verdict(token)).toBe("issuer-unavailable");
    status = 200;
    expect(await verdict(token, "http://127.0.0.1:9/keys")).toBe("issuer-unavailable");
    expect(await verdict(token)).toBe("acme ada directory:read");
  });
});
