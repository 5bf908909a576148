/** How a registration proves itself when it redeems a sign-in's code. */
import * as client from "openid-client";
import { managedIdentityAssertion, signingKey } from "./credentials.ts";
import type { Registration } from "./registration.ts";

const assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/** Ways to prepare a proof, in the order in which they are to be tried. Throws a fault of our own credential when there is nothing to prove with. */
export const clientAuthentications = (
  { clientId, credential }: Registration,
  { authority, tokenEndpoint, now }: { authority: string; tokenEndpoint: string; now: () => number },
): (() => Promise<client.ClientAuth>)[] => {
  if (credential.kind === "secret") return [async () => client.ClientSecretPost(credential.secret)];
  if (credential.kind === "certificate")
    return credential.paths.map((path) => () => byCertificate(path, tokenEndpoint, now()));
  return [
    async () => {
      const assertion = await managedIdentityAssertion(credential.managedIdentityClientId, authority)();
      return (_server, _client, body) => {
        body.set("client_id", clientId);
        body.set("client_assertion_type", assertionType);
        body.set("client_assertion", assertion);
      };
    },
  ];
};

/** Entra ID finds the certificate by its thumbprint and wants the token endpoint as audience. */
const byCertificate = async (path: string, tokenEndpoint: string, now: number): Promise<client.ClientAuth> => {
  const { key, thumbprint } = await signingKey(path, now);
  return client.PrivateKeyJwt(key, {
    [client.modifyAssertion]: (header, payload) => {
      header["x5t#S256"] = thumbprint;
      payload.aud = tokenEndpoint;
    },
  });
};
