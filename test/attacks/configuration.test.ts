/** No setting, and no mark that is missing, makes a deployed app talk to something on its own machine. */
import { describe, expect, test } from "vitest";
import { type Environment, loadConfig } from "../../src/config.ts";
import { isAppError } from "../../src/core/errors.ts";

const deployed: Environment = {
  ENTRA_READ_CLIENT_ID: "11111111-2222-4333-8444-555555555555",
  ENTRA_READ_FEDERATED_CLIENT_ID: "11111111-2222-4333-8444-666666666666",
  AZURE_CLIENT_ID: "11111111-2222-4333-8444-666666666666",
  COSMOS_ENDPOINT: "https://account.documents.azure.com",
  KEY_VAULT_URL: "https://vault.vault.azure.net",
  AzureWebJobsStorage__queueServiceUri: "https://account.queue.core.windows.net",
  AzureWebJobsStorage__credential: "managedidentity",
  PUBLIC_BASE_URL: "https://sync.product.example",
  RETURN_ORIGINS: "https://app.product.example",
  API_TOKEN_ISSUERS: JSON.stringify([
    {
      issuer: "https://login.product.example",
      audience: "https://sync.product.example",
      jwksUri: "https://login.product.example/jwks.json",
      claims: { workspace: "workspace", permissions: "permissions" },
    },
  ]),
};

const faultsOf = (changes: Environment): string => {
  try {
    loadConfig({ ...deployed, ...changes });
    return "";
  } catch (error) {
    if (!isAppError(error, "not-configured")) throw error;
    return error.details.detail ?? "";
  }
};

describe("a deployed app", () => {
  test.each(["WEBSITE_SITE_NAME", "WEBSITE_INSTANCE_ID", "CONTAINER_APP_NAME"])(
    "is known by %s, and then refuses local services",
    (mark) => {
      const local = { LOCAL_SERVICES: "allowed", COSMOS_ENDPOINT: "http://127.0.0.1:8081", COSMOS_KEY: "a2V5" };
      expect(faultsOf(local)).toBe("");
      for (const name of ["LOCAL_SERVICES", "COSMOS_ENDPOINT", "COSMOS_KEY"])
        expect(faultsOf({ ...local, [mark]: "x" })).toContain(name);
    },
  );

  test.each([
    "https://localhost.",
    "https://localhost.:8081",
    "https://vault.internal.",
    "https://2130706433",
    "https://0x7f.1",
    "https://127.1",
    "https://[::ffff:127.0.0.1]",
    "https://169.254.169.254",
    "https://metadata",
    "https://a.localhost",
    "https://vault.azure.net@10.0.0.1",
  ])("takes no other spelling of a private host: %s", (address) => {
    for (const name of ["COSMOS_ENDPOINT", "KEY_VAULT_URL", "AzureWebJobsStorage__queueServiceUri"])
      expect(faultsOf({ [name]: address })).toContain(name);
  });
});
