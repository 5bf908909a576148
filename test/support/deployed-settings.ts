/** The settings of an installation in Azure, and what is wrong with others. */
import { type Environment, loadConfig } from "../../src/config.ts";
import { isAppError } from "../../src/core/errors.ts";

export const issuer = {
  issuer: "https://login.product.example",
  audience: "https://sync.product.example",
  jwksUri: "https://login.product.example/jwks.json",
  claims: { workspace: "https://product.example/workspace", permissions: "permissions" },
};

export const deployed: Environment = {
  ENTRA_READ_CLIENT_ID: "11111111-2222-4333-8444-555555555555",
  ENTRA_READ_FEDERATED_CLIENT_ID: "11111111-2222-4333-8444-666666666666",
  AZURE_CLIENT_ID: "11111111-2222-4333-8444-666666666666",
  COSMOS_ENDPOINT: "https://account.documents.azure.com",
  KEY_VAULT_URL: "https://vault.vault.azure.net",
  AzureWebJobsStorage__queueServiceUri: "https://account.queue.core.windows.net",
  AzureWebJobsStorage__credential: "managedidentity",
  PUBLIC_BASE_URL: "https://sync.product.example",
  RETURN_ORIGINS: "https://app.product.example",
  API_TOKEN_ISSUERS: JSON.stringify([issuer]),
};

/** Empty: they can be used. */
export const faultsOf = (env: Environment): string => {
  try {
    loadConfig(env);
    return "";
  } catch (error) {
    if (!isAppError(error, "not-configured")) throw error;
    return error.details.detail ?? "";
  }
};
