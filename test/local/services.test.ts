import { expect, it } from "vitest";
import { StackFault } from "../../src/local/stack/fault.ts";
import { openPortBook } from "../../src/local/stack/ports.ts";
import { mail, queues, type ServiceNeeds, tokens, vault } from "../../src/local/stack/services.ts";

const needs = (given: ServiceNeeds["given"]): ServiceNeeds => ({
  given,
  directory: "",
  dataDir: undefined,
  ports: openPortBook(undefined),
  certificate: { key: "", cert: "" },
  own: () => {},
  log: () => () => {},
});

const realDatabase = { COSMOS_ENDPOINT: "https://account.documents.azure.com" };

it.each<[string, () => Promise<unknown>]>([
  [
    "AzureWebJobsStorage",
    () => queues(needs({ AzureWebJobsStorage__queueServiceUri: "https://account.queue.core.windows.net" })),
  ],
  ["KEY_VAULT_URL", () => vault(needs(realDatabase))],
  ["--dev-tokens", () => tokens(needs(realDatabase), false)],
  ["API_TOKEN_ISSUERS", () => tokens(needs({ API_TOKEN_ISSUERS: "[{" }), true)],
])("a service that cannot be what was asked for says that it takes %s", async (named, start) => {
  const fault = await start().catch((error: unknown) => error);
  expect(fault).toBeInstanceOf(StackFault);
  expect(String(fault)).toContain(named);
});

it("of a service that is given only the address is shown, and nothing is started", async () => {
  const key = Buffer.from("a key of the account").toString("base64");
  const account = `DefaultEndpointsProtocol=https;AccountName=account;AccountKey=${key};EndpointSuffix=core.windows.net`;
  expect(await queues(needs({ AzureWebJobsStorage: account }))).toEqual({
    handle: null,
    settings: {},
    address: "https://account.queue.core.windows.net",
  });
  const smtp = "smtps://somebody:secret@mail.example.com:465";
  expect(await mail(needs({ SMTP_URL: smtp }))).toMatchObject({ handle: null, address: "mail.example.com:465" });
});
