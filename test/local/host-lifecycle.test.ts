import { existsSync } from "node:fs";
import { request } from "node:https";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test, vi } from "vitest";
import { createCertificateAuthority } from "../../src/local/tls.ts";
import { scratchPath, send, startFixture } from "./fixtures/host.ts";

const refused = (name: string): string => fileURLToPath(new URL(`./fixtures/refused/${name}.ts`, import.meta.url));

test.each([
  ["streaming", /HTTP streaming/],
  ["output", /no bindings of type queue \(out\)/],
  ["nothing", /registered no functions; it never asked/],
  ["reserved", /routes under admin\//],
])("refuses to start an app it would run wrongly: %s", async (name, reason) => {
  await expect(startFixture({ entry: refused(name) })).rejects.toThrow(reason);
});

test("refuses a schedule whose setting is not there", async () => {
  await expect(startFixture({ env: { DAILY: "" } })).rejects.toThrow('"%DAILY%" does not resolve');
});

test("the app sees its own settings and not those of the shell", async () => {
  vi.stubEnv("STRAY_SETTING", "from the shell");
  const host = await startFixture({ env: { CHOSEN_SETTING: "given" } });
  vi.unstubAllEnvs();
  const { body } = await send(`${host.url}/environment`);
  expect(JSON.parse(body)).toEqual({
    chosen: "given",
    environment: "Development",
    directory: expect.stringMatching(/app$/),
  });
  await host.stop();
});

test("an exception that nobody catches ends the host with code 1", async () => {
  const host = await startFixture();
  await send(`${host.url}/crash`).catch(() => undefined);
  expect(await host.exited).toEqual({ code: 1, signal: null });
  await vi.waitFor(() => expect(host.lines.join("\n")).toContain("nobody catches this"), { timeout: 30_000 });
});

test("answers what is open before it stops, and tells the app", async () => {
  const host = await startFixture();
  const slow = send(`${host.url}/slow`);
  await host.traced((line) => line.slow === "began");
  await host.stop();
  expect(await slow).toMatchObject({ status: 200, body: "at last" });
  expect(await host.exited).toEqual({ code: 0, signal: null });
  expect(host.trace().map((line) => line.hook ?? line.slow)).toEqual(["appStart", "began", "appTerminate"]);
});

test("serves https beside http", async () => {
  const authority = await createCertificateAuthority();
  const { key, cert } = await authority.issueServerCertificate();
  const host = await startFixture({ http: { port: 0, tls: { key, cert, port: 0 } } });
  const seen = await new Promise<string>((resolve, reject) => {
    request(`${host.tlsUrl}/echo/5`, { ca: authority.caPem, agent: false }, (answer) => {
      answer.setEncoding("utf8").on("data", resolve);
    })
      .on("error", reject)
      .end();
  });
  expect(JSON.parse(seen)).toMatchObject({ url: `${host.tlsUrl}/echo/5`, headers: { "x-forwarded-proto": "https" } });
  await host.stop();
});

test("runs a timer by hand and says when it failed", async () => {
  const host = await startFixture({ statusDir: scratchPath("by-hand") });
  await host.invokeTimer("daily");
  expect(host.trace().filter((line) => "timer" in line)).toHaveLength(1);
  expect(existsSync(join(scratchPath("by-hand"), "daily.json"))).toBe(true);
  await expect(host.invokeTimer("no-such-timer")).rejects.toThrow();
  await host.stop();
});
