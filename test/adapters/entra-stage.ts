/** The simulated Microsoft with one registration and two tenants, for the tests of the adapters to Entra ID and Graph. */
import { randomUUID } from "node:crypto";
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type AppTokenOptions, appTokens, type Registrations } from "../../src/adapters/entra/app-tokens.ts";
import type { Registration } from "../../src/adapters/entra/registration.ts";
import { type Simulator, startSimulator } from "../../src/local/simulator/server.ts";
import type { AppRegistration, Tenant } from "../../src/local/simulator/world.ts";
import { createCertificateAuthority, trustInThisProcess } from "../../src/local/tls.ts";
import { selfSigned } from "../support/self-signed.ts";

export const redirectUri = "https://app.example/connect/callback/sign-in";
export const readPermissions = ["User.Read.All", "GroupMember.Read.All", "Organization.Read.All"];

export interface Stage {
  simulator: Simulator;
  app: AppRegistration;
  registration: Registration;
  tenants: [Tenant, Tenant];
  /** Outcomes of the token requests since the last call, with their tenant. */
  asked(): { tid: string; outcome: "issued" | number }[];
  tokens(registrations?: Registrations, options?: Partial<AppTokenOptions>): ReturnType<typeof appTokens>;
}

export const startStage = async (users = 20): Promise<Stage> => {
  const authority = await createCertificateAuthority();
  trustInThisProcess(authority.caPem);
  const simulator = await startSimulator({ tls: await authority.issueServerCertificate(), seed: 7 });
  const app: AppRegistration = {
    clientId: randomUUID(),
    displayName: "Directory sync (read)",
    secrets: ["first-secret"],
    certificates: [],
    federatedCredentials: [],
    redirectUris: [redirectUri],
    applicationPermissions: readPermissions,
    emitsDirectoryRoles: true,
    optionalClaims: ["acct", "auth_time"],
  };
  simulator.world.registrations.set(app.clientId, app);
  const tenant = (domain: string, seed: number): Tenant => {
    const { tid } = simulator.commands["create-tenant"].run({ seed, users, groups: 8, domain });
    const made = simulator.world.tenants.get(tid);
    if (!made) throw new Error("the tenant was not made");
    made.grants.set(app.clientId, new Set(readPermissions));
    return made;
  };
  const registration: Registration = { clientId: app.clientId, credential: { kind: "secret", secret: "first-secret" } };
  let seen = 0;
  return {
    simulator,
    app,
    registration,
    tenants: [tenant("fabrikam.example", 1), tenant("contoso.example", 2)],
    asked: () => {
      const fresh = simulator.entra.tokenRequests.slice(seen);
      seen = simulator.entra.tokenRequests.length;
      return fresh.map(({ tenantPath, outcome }) => ({ tid: tenantPath, outcome }));
    },
    tokens: (registrations = { read: registration }, options = {}) =>
      appTokens(registrations, {
        authority: simulator.entraUrl,
        resource: "https://graph.microsoft.com",
        now: () => simulator.world.now(),
        ...options,
      }),
  };
};

export interface MadeCertificate {
  path: string;
  /** As a registration lists it. */
  listed: AppRegistration["certificates"][number];
}

/** A self-signed certificate with its RSA key in one PEM file. */
export const makeCertificate = async (valid: Parameters<typeof selfSigned>[0] = {}): Promise<MadeCertificate> => {
  const { pemWithKey, listed } = await selfSigned(valid);
  const path = join(mkdtempSync(join(tmpdir(), "certificate-")), "app.pem");
  writeFileSync(path, pemWithKey, { mode: 0o600 });
  return { path, listed };
};
