/** No setting, and no mark that is missing, makes a deployed app talk to something on its own machine. */
import { describe, expect, test } from "vitest";
import { deployed, faultsOf } from "../support/deployed-settings.ts";

describe("a deployed app", () => {
  test.each(["WEBSITE_SITE_NAME", "WEBSITE_INSTANCE_ID", "CONTAINER_APP_NAME"])(
    "is known by %s, and then refuses local services",
    (mark) => {
      const local = { LOCAL_SERVICES: "allowed", COSMOS_ENDPOINT: "http://127.0.0.1:8081", COSMOS_KEY: "a2V5" };
      expect(faultsOf({ ...deployed, ...local })).toBe("");
      for (const name of ["LOCAL_SERVICES", "COSMOS_ENDPOINT", "COSMOS_KEY"])
        expect(faultsOf({ ...deployed, ...local, [mark]: "x" })).toContain(name);
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
      expect(faultsOf({ ...deployed, [name]: address })).toContain(name);
  });
});
