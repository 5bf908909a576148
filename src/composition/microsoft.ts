/** Everything that speaks to Microsoft, built from the settings: Entra ID with the registration of each tier, Graph as the tier that reads. */
import { appTokens } from "../adapters/entra/app-tokens.ts";
import { certificateStates } from "../adapters/entra/certificate.ts";
import { consentGateway } from "../adapters/entra/consent-gateway.ts";
import { credentialAlarm } from "../adapters/entra/credential-alarm.ts";
import { graphResource } from "../adapters/entra/registration.ts";
import { roleCheck } from "../adapters/entra/role-check.ts";
import { signInGateway } from "../adapters/entra/sign-in-gateway.ts";
import { graphClient } from "../adapters/graph/client.ts";
import { directorySource } from "../adapters/graph/directory-source.ts";
import { mailRecipients } from "../adapters/graph/mail-recipients.ts";
import { organization } from "../adapters/graph/organization.ts";
import { directorySearch } from "../adapters/graph/search.ts";
import { subscriptions } from "../adapters/graph/subscriptions.ts";
import { assertSubscriptions } from "../adapters/graph/subscriptions-only.ts";
import type { Config } from "../config.ts";
import { AppError } from "../core/errors.ts";
import type { SharedStore } from "../core/store/ports.ts";

export const connectMicrosoft = (
  { entra, graph: { baseUrl }, publicBaseUrl }: Pick<Config, "entra" | "graph" | "publicBaseUrl">,
  shared: SharedStore,
  now: () => number,
) => {
  const { authority, registrations, roleCheckScope: permission } = entra;
  const { read } = registrations;
  if (!read) throw new AppError("not-configured", { detail: "ENTRA_READ_CLIENT_ID is missing" });
  const { clientId } = read;
  const resource = graphResource(baseUrl);
  const credentials = credentialAlarm(appTokens(registrations, { authority, resource, now }), now);
  const { tokens } = credentials;
  const asReader = { baseUrl, tier: "read", clientId, tokens, shared, now } as const;
  const graph = graphClient(asReader);
  const notificationUrl = `${publicBaseUrl}/notifications/graph`;
  return {
    /** Of the registration that reads, to which the subscriptions belong. */
    clientId,
    notificationUrl,
    isCredentialRejected: () => credentials.isRaised(),
    certificates: certificateStates(registrations, now),
    source: directorySource(graph),
    search: directorySearch(graph),
    recipients: mailRecipients(graph),
    subscriptions: subscriptions(graphClient({ ...asReader, assertAllowed: assertSubscriptions }), {
      notificationUrl,
      lifecycleNotificationUrl: `${publicBaseUrl}/notifications/lifecycle`,
      now,
    }),
    gateway: consentGateway({
      registrations,
      authority,
      resource,
      redirectUris: {
        signIn: `${publicBaseUrl}/connect/callback/sign-in`,
        consent: `${publicBaseUrl}/connect/callback/consent`,
      },
      tokens,
      organization: organization(graph),
      now,
      ...(permission ? { roleCheck: roleCheck({ graphBaseUrl: baseUrl, resource, permission }) } : {}),
    }),
    signIns: signInGateway({
      registration: registrations.signIn,
      authority,
      redirectUri: `${publicBaseUrl}/sso/callback/entra`,
      now,
    }),
  };
};
