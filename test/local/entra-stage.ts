/** A simulated Entra ID on a real TLS socket with two small tenants, for the tests beside this file. */
import { createDirectory } from "../../src/local/simulator/directory/memory-directory.ts";
import { createEntra, type Entra } from "../../src/local/simulator/entra/entra.ts";
import type { AppRegistration, Tenant, World } from "../../src/local/simulator/world.ts";
import { createCertificateAuthority, trustInThisProcess } from "../../src/local/tls.ts";
import { startLoopbackServer } from "../../src/local/tokens/loopback-server.ts";

export const globalAdministrator = "62e90394-69f5-4237-9190-012177145e10";
export const applicationAdministrator = "9b895d92-2cd3-44c7-9d02-a6ac2d5ea5c3";

export const tids = {
  fabrikam: "11111111-1111-4111-8111-111111111111",
  contoso: "22222222-2222-4222-8222-222222222222",
};
export const oids = {
  admin: "aaaaaaaa-0000-4000-8000-000000000001",
  member: "aaaaaaaa-0000-4000-8000-000000000002",
  applicationAdmin: "aaaaaaaa-0000-4000-8000-000000000003",
  /** In fabrikam; at home in contoso as `guestAtHome`. */
  guest: "aaaaaaaa-0000-4000-8000-000000000004",
  contosoAdmin: "bbbbbbbb-0000-4000-8000-000000000001",
  guestAtHome: "bbbbbbbb-0000-4000-8000-000000000002",
};
export const redirectUri = "https://app.example/connect/callback";
export const clientId = "cccccccc-0000-4000-8000-000000000001";
export const secret = "s3cret~with+signs/&=";

export interface Stage {
  url: string;
  world: World;
  entra: Entra;
  registration: AppRegistration;
  fabrikam: Tenant;
  contoso: Tenant;
  /** Moves the world's clock. */
  advance(seconds: number): void;
  close(): Promise<void>;
}

interface Somebody {
  id: string;
  name: string;
  upn: string;
  mail?: string;
  guest?: boolean;
  roles?: string[];
}

const tenantWith = (tid: string, displayName: string, domain: string, people: Somebody[]): Tenant => {
  const directory = createDirectory();
  for (const { id, name, upn, mail, guest } of people)
    directory.apply({
      op: "create-user",
      user: {
        id,
        properties: {
          displayName: name,
          userPrincipalName: upn,
          mail: mail ?? upn,
          userType: guest ? "Guest" : "Member",
          accountEnabled: true,
        },
      },
    });
  return {
    tid,
    displayName,
    verifiedDomains: [domain],
    directory,
    accounts: people.map(({ id, roles }) => ({ objectId: id, directoryRoles: roles ?? [] })),
    grants: new Map(),
    disabledApps: new Set(),
    subscriptions: new Map(),
    gone: false,
  };
};

export const startStage = async (): Promise<Stage> => {
  const fabrikam = tenantWith(tids.fabrikam, "Fabrikam", "fabrikam.example", [
    { id: oids.admin, name: "Ada Admin", upn: "ada@fabrikam.example", roles: [globalAdministrator] },
    { id: oids.member, name: "Max <Member>", upn: "max@fabrikam.example" },
    { id: oids.applicationAdmin, name: "Ali Appadmin", upn: "ali@fabrikam.example", roles: [applicationAdministrator] },
    {
      id: oids.guest,
      name: "Gil Guest",
      upn: "gil_contoso.example#EXT#@fabrikam.example",
      mail: "gil@contoso.example",
      guest: true,
    },
  ]);
  const contoso = tenantWith(tids.contoso, "Contoso", "contoso.example", [
    { id: oids.contosoAdmin, name: "Cleo Contoso", upn: "cleo@contoso.example", roles: [globalAdministrator] },
    { id: oids.guestAtHome, name: "Gil At Home", upn: "gil@contoso.example" },
  ]);
  const registration: AppRegistration = {
    clientId,
    displayName: "Directory sync (read)",
    secrets: [secret],
    certificates: [],
    federatedCredentials: [],
    redirectUris: [redirectUri],
    applicationPermissions: ["User.Read.All", "GroupMember.Read.All", "Organization.Read.All"],
    emitsDirectoryRoles: true,
    optionalClaims: ["acct", "auth_time"],
  };
  let offset = 0;
  const world: World = {
    registrations: new Map([[clientId, registration]]),
    tenants: new Map([
      [fabrikam.tid, fabrikam],
      [contoso.tid, contoso],
    ]),
    now: () => Date.now() + offset,
  };
  const authority = await createCertificateAuthority();
  trustInThisProcess(authority.caPem);
  const entra = createEntra(world, { url: () => server.url });
  const server = await startLoopbackServer({
    tls: await authority.issueServerCertificate(),
    answer: async (request) => (await entra.handle(request)) ?? { status: 404 },
  });
  return {
    url: server.url,
    world,
    entra,
    registration,
    fabrikam,
    contoso,
    advance: (seconds) => {
      offset += seconds * 1000;
    },
    close: () => server.close(),
  };
};

export interface TokenAnswer {
  status: number;
  body: Record<string, unknown>;
}

export const postToken = async (
  stage: Stage,
  tenantPath: string,
  form: Record<string, string>,
  headers: Record<string, string> = {},
): Promise<TokenAnswer> => {
  const response = await fetch(`${stage.url}/${tenantPath}/oauth2/v2.0/token`, {
    method: "POST",
    headers,
    body: new URLSearchParams(form),
  });
  return { status: response.status, body: JSON.parse(await response.text()) };
};

export const applicationForm = {
  grant_type: "client_credentials",
  client_id: clientId,
  client_secret: secret,
  scope: "https://graph.microsoft.com/.default",
};
