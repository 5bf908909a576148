import { execFile } from "node:child_process";
import { createPrivateKey, X509Certificate } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import https from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterEach, describe, expect, test } from "vitest";
import { createCertificateAuthority, type ServerCertificate, trustInThisProcess } from "../../src/local/tls.ts";

const opened: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of opened.splice(0)) await close();
});

const serve = async (certificate: ServerCertificate): Promise<number> => {
  const server = https.createServer(certificate, (_request, response) => response.end("hello"));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  opened.push(() => new Promise((resolve) => server.close(resolve)));
  const address = server.address();
  return typeof address === "object" && address ? address.port : 0;
};

describe("the local certificate authority", () => {
  test("is trusted by fetch for localhost and 127.0.0.1 once it was added, and not before", async () => {
    const authority = await createCertificateAuthority();
    const port = await serve(await authority.issueServerCertificate());
    await expect(fetch(`https://localhost:${port}`)).rejects.toThrow();
    trustInThisProcess(authority.caPem);
    for (const host of ["localhost", "127.0.0.1"])
      expect(await (await fetch(`https://${host}:${port}`)).text()).toBe("hello");
  });

  test("is trusted by a child process through NODE_EXTRA_CA_CERTS", async () => {
    const authority = await createCertificateAuthority();
    const port = await serve(await authority.issueServerCertificate());
    const folder = await mkdtemp(join(tmpdir(), "local-ca-"));
    opened.push(() => rm(folder, { recursive: true }));
    const file = join(folder, "ca.pem");
    await writeFile(file, authority.caPem);
    const script = `fetch("https://localhost:${port}").then((r) => r.text()).then(console.log)`;
    const child = await promisify(execFile)(process.execPath, ["-e", script], {
      env: { ...process.env, NODE_EXTRA_CA_CERTS: file },
    });
    expect(child.stdout.trim()).toBe("hello");
  });

  test("carries a critical name constraint for the loopback names and issues matching keys", async () => {
    const authority = await createCertificateAuthority();
    const issued = await authority.issueServerCertificate();
    const leaf = new X509Certificate(issued.cert);
    const ca = new X509Certificate(authority.caPem);
    expect(leaf.checkIssued(ca) && leaf.verify(ca.publicKey)).toBe(true);
    expect(leaf.ca).toBe(false);
    expect(leaf.checkPrivateKey(createPrivateKey(issued.key))).toBe(true);
    expect(leaf.subjectAltName).toBe("DNS:localhost, IP Address:127.0.0.1, IP Address:0:0:0:0:0:0:0:1");
    expect(ca.raw.includes(Buffer.from("0603551d1e0101ff", "hex"))).toBe(true);
  });
});
