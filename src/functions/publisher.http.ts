/**
 * What Microsoft reads to verify that the publisher's domain is ours: which app registrations belong to it.
 * https://learn.microsoft.com/entra/identity-platform/howto-configure-publisher-domain
 */
import type { HttpHandler } from "@azure/functions";
import type { UseCases } from "../composition.ts";
import { notFound } from "./edge/http.ts";
import { type LimitedCases, perAddress } from "./edge/per-address.ts";
import { securityHeaders } from "./edge/problem.ts";
import type { HttpFunction } from "./register.ts";

const publisherAssociation =
  (cases: () => Pick<UseCases, "publisherAppIds">): HttpHandler =>
  (request, context) => {
    const { publisherAppIds } = cases();
    if (publisherAppIds.length === 0) return notFound(request, context);
    if (request.method !== "GET" && request.method !== "HEAD")
      return { status: 405, headers: { ...securityHeaders, allow: "GET, HEAD" } };
    const associatedApplications = publisherAppIds.map((applicationId) => ({ applicationId }));
    return { status: 200, headers: { ...securityHeaders }, jsonBody: { associatedApplications } };
  };

export const publisherFunctions = (cases: () => Pick<UseCases, "publisherAppIds"> & LimitedCases): HttpFunction[] => [
  {
    name: "publisher-association",
    route: ".well-known/microsoft-identity-association.json",
    handler: perAddress(cases, publisherAssociation(cases)),
  },
];
