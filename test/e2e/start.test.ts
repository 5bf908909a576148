import { type ChildProcess, spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { tierPermissions } from "../../src/core/consent/permissions.ts";
import { followConsent } from "../../src/local/demo/administrator.ts";
import type { Summary } from "../../src/local/demo/summary.ts";
import { startQueues } from "../../src/local/queues/azurite.ts";
import { startSimulator } from "../../src/local/simulator/server.ts";
import { hostPort } from "../../src/local/stack/ports.ts";
import { createCertificateAuthority, trustInThisProcess } from "../../src/local/tls.ts";
import { startTokenIssuer } from "../../src/local/tokens/issuer.ts";

const module = fileURLToPath(new URL("../../src/local/start.ts", import.meta.url));

let data: string;
let port: number;
let running: Started[];
beforeEach(async () => {
  data = mkdtempSync(join(tmpdir(), "start-"));
  port = await hostPort(undefined);
  running = [];
});
afterEach(async () => {
  for (const started of running) {
    started.kill();
    await started.ended;
  }
  rmSync(data, { recursive: true, force: true });
});

interface Started {
  child: ChildProcess;
  /** Standard output and error so far. */
  output(): string;
  ended: Promise<{ code: number | null; output: string }>;
  /** Resolves when the output holds the text. */
  says(text: string): Promise<void>;
  /** SIGKILL for it and everything it has started. */
  kill(): void;
}

const start = (options: string[], env: Record<string, string> = {}): Started => {
  const child = spawn(process.execPath, [module, "--data", data, ...options], {
    env: { PATH: process.env.PATH ?? "", PORT: String(port), ...env },
    stdio: ["ignore", "pipe", "pipe"],
    detached: true,
  });
  let output = "";
  const listeners = new Set<() => void>();
  for (const stream of [child.stdout, child.stderr])
    stream.on("data", (chunk: Buffer) => {
      output += chunk.toString();
      for (const listener of listeners) listener();
    });
  const ended = new Promise<{ code: number | null; output: string }>((resolve) => {
    child.once("close", (code) => resolve({ code, output }));
  });
  const started: Started = {
    child,
    output: () => output,
    ended,
    kill: () => {
      if (child.exitCode === null && child.signalCode === null && child.pid) process.kill(-child.pid, "SIGKILL");
    },
    says: (text) =>
      new Promise((resolve, reject) => {
        const look = (): void => {
          if (output.includes(text)) resolve();
        };
        listeners.add(look);
        look();
        void ended.then(() => reject(new Error(`It ended without saying "${text}":\n${output}`)));
      }),
  };
  running.push(started);
  return started;
};

/** Of somebody else's services: the stack trusts it only because it was told to. */
const foreignAuthority = async () => {
  const authority = await createCertificateAuthority();
  trustInThisProcess(authority.caPem);
  const file = join(data, "foreign-ca.pem");
  writeFileSync(file, authority.caPem);
  return { tls: await authority.issueServerCertificate(), file };
};

const summaryIn = (output: string): Summary => JSON.parse(output.trimEnd().split("\n").at(-1) ?? "");

describe("npm start", () => {
  it("connects a tenant, synchronises it, and finds it again after a kill", async () => {
    const small = ["--once", "--json", "--users", "300", "--groups", "40"];
    const first = await start(small).ended;
    expect(first.code, first.output).toBe(0);
    const summary = summaryIn(first.output);
    expect(summary).toMatchObject({
      ok: true,
      resumed: false,
      firstSync: { mode: "full", outcome: "done" },
      delta: { mode: "delta", outcome: "done" },
      check: { equalsTenant: true, replayEqual: true, chainVerified: true, differences: [] },
    });
    expect(summary.firstSync?.people.created).toBeGreaterThan(280);
    expect(summary.firstSync?.people.deactivated).toBe(0);
    expect(summary.delta.people.created).toBeLessThan(60);
    expect(summary.changesMade).toBeGreaterThanOrEqual(60);

    const second = start(small);
    await second.says("it goes on with a delta");
    second.kill();

    const third = await start(small).ended;
    expect(third.code, third.output).toBe(0);
    const again = summaryIn(third.output);
    expect(again).toMatchObject({ ok: true, resumed: true, firstSync: null, connectionId: summary.connectionId });
    expect(again.check.sequence).toBeGreaterThan(summary.check.sequence);
  });

  it("goes on where it was killed in the middle of its first sync", async () => {
    const options = ["--once", "--json", "--users", "300", "--groups", "40"];
    const first = start(options, { LEASE_SECONDS: "2" });
    await first.says("has confirmed the connection");
    first.kill();

    const { code, output } = await start(options, { LEASE_SECONDS: "2" }).ended;
    expect(code, output).toBe(0);
    expect(summaryIn(output)).toMatchObject({ ok: true, resumed: true, check: { equalsTenant: true } });
  });

  it("ends with 1 when the store has lost somebody", async () => {
    const options = ["--once", "--json", "--users", "40", "--groups", "5"];
    expect((await start(options).ended).code).toBe(0);
    const database = new DatabaseSync(join(data, "cosmos.sqlite"));
    const lost = database.prepare(
      `DELETE FROM "docs:directory" WHERE id = (SELECT id FROM "docs:directory" WHERE id LIKE 'u:%' LIMIT 1)`,
    );
    expect(lost.run().changes).toBe(1);
    database.close();

    const { code, output } = await start(options).ended;
    expect(output).toContain("Comparing what the API shows");
    expect(output).not.toContain('"ok":true');
    expect(code).toBe(1);
  });

  it("starts only the stack with --no-demo, ends it in good order, and lets a pasted request through", async () => {
    const stack = start(["--no-demo"]);
    await stack.says("Ctrl-C ends it.");
    expect((await fetch(`http://localhost:${port}/health`)).status).toBe(200);
    expect((await fetch(`http://localhost:${port}/api/v1/connections`)).status).toBe(401);

    const pasted = stack
      .output()
      .split("\n")
      .filter((line) => line.startsWith("TOKEN=") || line.startsWith("curl"));
    const shell = spawn("sh", ["-euc", pasted.join("\n")], { stdio: ["ignore", "pipe", "inherit"] });
    const answers: string[] = [];
    for await (const chunk of shell.stdout) answers.push(String(chunk));
    expect(answers.join("")).toBe('{"items":[],"next":null}\n'.repeat(2));

    stack.child.kill("SIGINT");
    expect((await stack.ended).code).toBe(0);
    await expect(fetch(`http://localhost:${port}/health`)).rejects.toThrow("fetch failed");
  });

  it("names settings that no app would start with in one line", async () => {
    const { code, output } = await start(["--no-demo"], { SMTP_URL: "nonsense", LEASE_SECONDS: "soon" }).ended;
    expect(code).toBe(1);
    expect(output).toMatch(/^The settings cannot be used: LEASE_SECONDS .*; SMTP_URL .*\n$/);
  });

  it("says in one line that its folder is a file", async () => {
    const file = join(data, "a-file");
    writeFileSync(file, "");
    const { code, output } = await start(["--no-demo", "--data", file]).ended;
    expect(code).toBe(1);
    expect(output).toBe(`${file} cannot be a folder for data.\n`);
  });

  it("says in one line which port is taken", async () => {
    const holder = createServer().listen(port + 1, "127.0.0.1");
    const { code, output } = await start(["--no-demo"]).ended;
    holder.close();
    expect(code).toBe(1);
    expect(output).toBe(`Port ${port + 1} is taken. Set PORT to another one (http is there, https one above).\n`);
  });

  it("empties its data with --fresh, but never those of another stack that runs", async () => {
    const stack = start(["--no-demo"]);
    await stack.says("Ctrl-C ends it.");
    const { code, output } = await start(["--no-demo", "--fresh"], { PORT: String(await hostPort(undefined)) }).ended;
    expect(code).toBe(1);
    expect(output).toContain("Is another stack running on the same data?");
    expect(existsSync(join(data, "cosmos.sqlite"))).toBe(true);

    stack.kill();
    await stack.ended;
    const fresh = start(["--no-demo", "--fresh"]);
    await fresh.says("Ctrl-C ends it.");
    expect((await fetch(`http://localhost:${port}/health`)).status).toBe(200);
  });

  it("uses the queues it is given and starts none of its own", async () => {
    const queues = await startQueues({});
    const { code, output } = await start(["--once", "--json", "--users", "40", "--groups", "5"], {
      AzureWebJobsStorage: queues.connectionString,
    }).ended;
    await queues.close();
    expect(code, output).toBe(0);
    expect(output).toMatch(/Storage queues +as set +http:/);
    expect(existsSync(join(data, "queues"))).toBe(false);
    expect(existsSync(join(data, "cosmos.sqlite"))).toBe(true);
  });

  it("keeps the development token issuer away from a real database unless it is asked for", async () => {
    const { code, output } = await start(["--no-demo"], {
      COSMOS_ENDPOINT: "https://account.documents.azure.com",
      KEY_VAULT_URL: "https://vault.vault.azure.net",
    }).ended;
    expect(code).toBe(1);
    expect(output).toContain("--dev-tokens");
    expect(output.trimEnd().split("\n")).toHaveLength(1);
    expect(existsSync(join(data, "token-issuer.json"))).toBe(false);
  });

  it("takes the issuers it is given, and trusts what NODE_EXTRA_CA_CERTS names", async () => {
    const { tls, file } = await foreignAuthority();
    const issuer = await startTokenIssuer({ audience: "product", tls });
    const stack = start(["--no-demo"], {
      NODE_EXTRA_CA_CERTS: file,
      API_TOKEN_ISSUERS: JSON.stringify([
        {
          issuer: issuer.issuer,
          audience: "product",
          jwksUri: issuer.jwksUri,
          claims: { workspace: "workspace", permissions: "permissions" },
        },
      ]),
    });
    await stack.says("Ctrl-C ends it.");
    expect(stack.output()).toMatch(/Token issuer +as set/);
    expect(stack.output()).not.toContain("TOKEN=");
    const token = await issuer.sign({ workspace: "w1", subject: "somebody", permissions: ["integration:read"] });
    const answer = await fetch(`http://localhost:${port}/api/v1/connections`, {
      headers: { authorization: `Bearer ${token}` },
    });
    await issuer.close();
    expect(answer.status).toBe(200);
  });

  it("prints the link for the administrator of a directory that is not its own, waits, then synchronises", async () => {
    const { tls, file } = await foreignAuthority();
    const microsoft = await startSimulator({ tls, seed: 3 });
    const clientId = randomUUID();
    const redirectUris = ["sign-in", "consent"].map((name) => `https://localhost:${port + 1}/connect/callback/${name}`);
    microsoft.commands["register-app"].run({
      clientId,
      secrets: ["a development secret"],
      redirectUris,
      applicationPermissions: [...tierPermissions.read.application],
    });
    const { tid, accounts } = microsoft.commands["create-tenant"].run({
      seed: 3,
      users: 60,
      groups: 10,
      domain: "fabrikam.example",
    });
    const stack = start(["--once", "--json"], {
      NODE_EXTRA_CA_CERTS: file,
      ENTRA_AUTHORITY: microsoft.entraUrl,
      GRAPH_BASE_URL: microsoft.graphUrl,
      ENTRA_READ_CLIENT_ID: clientId,
      ENTRA_READ_CLIENT_SECRET: "a development secret",
    });
    await stack.says("/connect/");
    await stack.says("\n");
    const [connectUrl = ""] = /https:\S+\/connect\/\S+/.exec(stack.output()) ?? [];
    trustInThisProcess(readFileSync(join(data, "ca.pem"), "utf8"));
    const back = await followConsent(connectUrl, { account: accounts[0]?.objectId ?? "" });
    expect(await (await fetch(back)).text()).toContain("Approved.");
    const { code, output } = await stack.ended;
    await microsoft.close();
    expect(code, output).toBe(0);
    expect(summaryIn(output)).toMatchObject({
      ok: true,
      tid,
      changesMade: 0,
      firstSync: { mode: "full", outcome: "done" },
      delta: { outcome: "nothing" },
      check: { equalsTenant: null, replayEqual: true, chainVerified: true, groups: 10 },
    });
    expect(existsSync(join(data, "simulator"))).toBe(false);
  });

  it("refuses options it does not know", async () => {
    const { code, output } = await start(["--user", "5"]).ended;
    expect(code).toBe(1);
    expect(output).toContain("--users N");
  });
});
