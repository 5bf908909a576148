/** What whoever runs the installation is told: how long its certificates last, and what Microsoft reads of the publisher. */
import { copyFileSync, rmSync } from "node:fs";
import { InvocationContext } from "@azure/functions";
import { afterAll, beforeAll, expect, test } from "vitest";
import { watchCertificates } from "../../src/functions/certificate-watch.timer.ts";
import { type MadeCertificate, makeCertificate } from "../adapters/entra-stage.ts";
import { type ApiStage, startApi } from "./api-stage.ts";

const day = 86_400_000;
const writeApp = "22222222-2222-4333-8444-555555555555";

let api: ApiStage;
let old: MadeCertificate;
let next: MadeCertificate;

beforeAll(async () => {
  [old, next] = await Promise.all([
    makeCertificate({ to: Date.now() + 10.5 * day }),
    makeCertificate({ to: Date.now() + 200.5 * day }),
  ]);
  api = await startApi({
    ENTRA_WRITE_CLIENT_ID: writeApp,
    ENTRA_WRITE_CLIENT_CERTIFICATE_PATH: `${old.path}, ${next.path}`,
    ENTRA_LICENCES_CLIENT_ID: writeApp,
    ENTRA_LICENCES_CLIENT_CERTIFICATE_PATH: next.path,
    SECURITY_CONTACT: "mailto:security@product.example",
    PUBLISHER_APP_IDS: `${writeApp.toUpperCase()}, 11111111-2222-4333-8444-555555555555,${writeApp}`,
  });
});
afterAll(() => api.close());

const health = async () => {
  api.advance(10_000);
  const { status, body } = await api.call("GET", "/health", { token: null });
  return { status, body };
};
const daily = async (): Promise<{ level: string; line: string }> => {
  const lines: { level: string; line: string }[] = [];
  const logHandler = (level: string, ...parts: unknown[]) => void lines.push({ level, line: parts.join(" ") });
  const timer = {
    isPastDue: false,
    schedule: { adjustForDST: false },
    scheduleStatus: { last: "", next: "", lastUpdated: "" },
  };
  await watchCertificates(() => api.cases)(
    timer,
    new InvocationContext({ functionName: "certificate-watch", logHandler }),
  );
  const [first] = lines;
  if (!first || lines.length > 1) throw new Error("one line is expected");
  return first;
};

test("each certificate is shown by its days: green, yellow, red; one that is good suffices; never which file it is", async () => {
  const both = ["write", "licences"];
  expect(await health()).toMatchObject({
    status: 200,
    body: {
      status: "up",
      certificates: [
        { tiers: ["write"], daysLeft: 10, state: "yellow" },
        { tiers: both, daysLeft: 200, state: "green" },
      ],
    },
  });
  const warned = await daily();
  expect(warned.level).toBe("error");
  expect(JSON.parse(warned.line)).toEqual({
    event: "certificate-watch",
    certificates: 2,
    alarm: "yellow",
    tiers: "write",
    daysLeft: 10,
  });

  const over = await makeCertificate({ from: Date.now() - 9 * day, to: Date.now() - 1.5 * day });
  copyFileSync(over.path, old.path);
  const outrun = await health();
  expect([outrun.status, outrun.body.status]).toEqual([200, "up"]);
  expect(outrun.body.certificates).toContainEqual({ tiers: ["write"], daysLeft: -2, state: "red" });
  expect(JSON.parse((await daily()).line)).toMatchObject({ alarm: "red", tiers: "write", daysLeft: -2 });

  const good = await makeCertificate();
  copyFileSync(over.path, next.path);
  const down = await health();
  expect([down.status, down.body.status, down.body.code]).toEqual([503, "down", "misconfigured"]);
  expect(down.body.certificates).toContainEqual({ tiers: both, daysLeft: -2, state: "red" });
  copyFileSync(good.path, next.path);
  expect((await health()).status).toBe(200);

  rmSync(old.path);
  expect((await health()).body.certificates).toContainEqual({ tiers: ["write"], daysLeft: null, state: "red" });
  expect((await daily()).line).toContain('"daysLeft":"unreadable"');
  const told = JSON.stringify([outrun.body, down.body, warned, await daily(), api.log]);
  for (const secret of [old.path, next.path, over.listed.thumbprintSha256, good.listed.thumbprintSha256])
    expect(told).not.toContain(secret);
});

test("Microsoft reads which app registrations belong to the publisher's domain, and nobody else is told more", async () => {
  const path = "/.well-known/microsoft-identity-association.json";
  const answer = await api.call("GET", path, { token: null });
  expect(answer.status).toBe(200);
  expect(answer.body).toEqual({
    associatedApplications: [{ applicationId: writeApp }, { applicationId: "11111111-2222-4333-8444-555555555555" }],
  });
  expect((await api.call("POST", path, { token: null })).status).toBe(405);
});

test("whoever has found a weakness reads where to report it", async () => {
  const path = "/.well-known/security.txt";
  const { status, headers, text } = await api.call("GET", path, { token: null });
  expect([status, headers.get("content-type")]).toEqual([200, "text/plain; charset=utf-8"]);
  const fields = Object.fromEntries(
    text
      .trim()
      .split("\n")
      .map((line) => line.split(": ")),
  );
  expect(fields).toEqual({
    Contact: "mailto:security@product.example",
    Expires: expect.stringMatching(/Z$/),
    Canonical: `https://sync.example${path}`,
  });
  const daysLeft = (Date.parse(fields.Expires ?? "") - Date.now()) / day;
  expect(daysLeft).toBeGreaterThan(30);
  expect(daysLeft).toBeLessThan(365);
  expect((await api.call("POST", path, { token: null })).status).toBe(405);
});
