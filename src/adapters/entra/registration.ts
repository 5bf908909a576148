/** An app registration of this installation, and how it proves itself to Entra ID. */
export interface Registration {
  clientId: string;
  credential: /** PEM files with certificate and RSA key. Two may overlap while one replaces the other. */
    | { kind: "certificate"; paths: string[] }
    /** A user-assigned managed identity that the registration trusts as federated credential. */
    | { kind: "federated"; managedIdentityClientId: string }
    /** Development only. */
    | { kind: "secret"; secret: string };
}

const guid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;
export const isGuid = (value: unknown): value is string => typeof value === "string" && guid.test(value);

/** Audience of a managed identity's token that a registration of the same cloud accepts as assertion. */
const exchangeAudiences: Readonly<Record<string, string>> = {
  "login.microsoftonline.com": "api://AzureADTokenExchange",
  "login.microsoftonline.us": "api://AzureADTokenExchangeUSGov",
  "login.partner.microsoftonline.cn": "api://AzureADTokenExchangeChina",
  "login.chinacloudapi.cn": "api://AzureADTokenExchangeChina",
};

/** Other authorities are unknown to Microsoft's instance discovery, which the SDK must then not ask. */
export const isMicrosoftAuthority = (authority: string): boolean => new URL(authority).hostname in exchangeAudiences;

export const exchangeAudience = (authority: string): string =>
  exchangeAudiences[new URL(authority).hostname] ?? "api://AzureADTokenExchange";

const graphHosts = new Set([
  "graph.microsoft.com",
  "graph.microsoft.us",
  "dod-graph.microsoft.us",
  "microsoftgraph.chinacloudapi.cn",
]);

/** What a token for Graph is asked for: the cloud's own Graph host. A stand-in plays the global cloud. */
export const graphResource = (graphBaseUrl: string): string => {
  const { hostname, origin } = new URL(graphBaseUrl);
  return graphHosts.has(hostname) ? origin : "https://graph.microsoft.com";
};
