/** From a dry run that is asked to mail its result to the mail in the catcher, with the real worker, Graph and SMTP. */
import { randomUUID } from "node:crypto";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { mailJobStore } from "../../../src/adapters/cosmos/mail-job-store.ts";
import { appTokens } from "../../../src/adapters/entra/app-tokens.ts";
import { graphResource } from "../../../src/adapters/entra/registration.ts";
import { graphClient } from "../../../src/adapters/graph/client.ts";
import { mailRecipients } from "../../../src/adapters/graph/mail-recipients.ts";
import { smtpServer } from "../../../src/adapters/mail/smtp.ts";
import { plainEntry } from "../../../src/core/audit/change-log.ts";
import { administratorPlace } from "../../../src/core/consent/proof.ts";
import type { ConnectionContext } from "../../../src/core/context.ts";
import { personId } from "../../../src/core/crypto/key-ring.ts";
import { seal } from "../../../src/core/crypto/seal.ts";
import { type Delivered, type DeliverNeeds, deliverMail, mailsPerDay } from "../../../src/core/mail/deliver.ts";
import { wakeMails } from "../../../src/core/mail/wake.ts";
import { commit } from "../../../src/core/store/commit.ts";
import { ids } from "../../../src/core/store/documents.ts";
import type { Hint } from "../../../src/core/store/ports.ts";
import { resendMail } from "../../../src/core/views/resend-mail.ts";
import { cancelRun, readRun, requestRun } from "../../../src/core/views/runs.ts";
import { type MailCatcher, startMailCatcher } from "../../../src/local/mail/catcher.ts";
import { type Stage, startStage } from "../../support/sync-stage.ts";
import { caller, codeOf } from "../connections-stage.ts";

const ada = { ...caller("w1"), permissions: new Set(["integration:setup"] as const) };
let stage: Stage;
let catcher: MailCatcher;
let deliverNeeds: DeliverNeeds;
let healthy: DeliverNeeds;
const contexts = new Map<string, ConnectionContext>();

beforeAll(async () => {
  stage = await startStage({ seed: 5 });
  catcher = await startMailCatcher();
  const { ambient, store, handles, clientId, simulator } = stage;
  const jobs = mailJobStore(handles.state, ambient.now);
  const tokens = appTokens(
    { read: { clientId, credential: { kind: "secret", secret: "a development secret" } } },
    { authority: simulator.entraUrl, resource: graphResource(simulator.graphUrl), now: ambient.now },
  );
  const shared = { pauseUntil: async () => 0, pause: async () => undefined };
  const graph = graphClient({ baseUrl: simulator.graphUrl, tier: "read", clientId, tokens, shared, now: ambient.now });
  deliverNeeds = {
    ambient,
    store,
    jobs,
    server: smtpServer({ url: catcher.smtpUrl, from: "sync@vendor.example", isLocal: true }),
    recipients: mailRecipients(graph),
    contextFor: stage.needs.contextFor,
    productUrl: "https://app.product.example",
  };
  healthy = deliverNeeds;
  stage.needs = { ...stage.needs, mails: { jobs, hints: stage.needs.hints } };
});
afterEach(() => {
  deliverNeeds = healthy;
  catcher.clear();
  catcher.refuseNext(0);
});
afterAll(async () => {
  await Promise.all([stage.close(), catcher.close()]);
});

interface Scene {
  tid: string;
  connectionId: string;
  admin: string;
  address: string;
}

let seeds = 7000;
const connect = async (mail?: string): Promise<Scene> => {
  const seed = ++seeds;
  const tid = stage.tenant({ users: 30, groups: 5, seed });
  const admin = randomUUID();
  const address = mail ?? `the.administrator@t${seed}.example`;
  stage.simulator.commands.mutate.run({
    tid,
    mutations: [
      {
        op: "create-user",
        user: {
          id: admin,
          managerId: null,
          properties: {
            displayName: "Administrator Canary",
            mail: address,
            userPrincipalName: `admin@t${seed}.example`,
            accountEnabled: true,
            userType: "Member",
          },
        },
      },
      {
        op: "create-group",
        group: {
          id: randomUUID(),
          properties: {
            displayName: "<i>Sales</i> https://evil.example",
            mailEnabled: false,
            mailNickname: "sales",
            securityEnabled: true,
            groupTypes: [],
          },
        },
      },
    ],
  });
  const { connectionId, context } = await stage.connect(tid);
  contexts.set(connectionId, context);
  const head = await stage.store.read(connectionId, "head", ids.head);
  if (!head) throw new Error("no head");
  const told = { kind: "tier", op: "updated", object: "read", cause: "consent" } as const;
  await commit(stage, head, {
    entries: [plainEntry(stage.ambient, told)],
    writes: [
      {
        op: "create",
        doc: {
          id: ids.proof("read"),
          kind: "proof",
          connectionId,
          v: 1,
          tier: "read",
          tid,
          clientId: stage.clientId,
          roles: [],
          provenAt: "2026-01-01T00:00:00.000Z",
          administrator: seal(stage.ambient, context.ring.sealing, administratorPlace(connectionId, "read"), {
            oid: admin,
            name: "somebody",
            userPrincipalName: "claimed@evil.example",
          }),
        },
      },
    ],
  });
  return { tid, connectionId, admin, address };
};

const viewNeeds = ({ connectionId }: Scene) => ({
  ...stage.needs,
  keys: { ring: () => Promise.resolve((contexts.get(connectionId) as ConnectionContext).ring) },
});
const dryRun = async (scene: Scene, mail = true): Promise<string> => {
  const { id } = await requestRun(viewNeeds(scene))(ada, scene.connectionId, { mode: "dry-run", mail });
  await stage.settle(scene.connectionId);
  return id;
};
const deliver = ({ connectionId }: Scene, runId: string): Promise<Delivered> =>
  deliverMail(deliverNeeds)({ connectionId, runId });
const mailOf = async (scene: Scene, runId: string) =>
  (await readRun(viewNeeds(scene))(ada, scene.connectionId, runId)).mail;
const resend = (scene: Scene, runId: string) => resendMail(viewNeeds(scene))(ada, scene.connectionId, runId);
const due = async ({ connectionId }: Scene): Promise<string[]> => {
  const sent: string[] = [];
  const hints = {
    send: async (hint: Hint) => {
      if (hint.connectionId === connectionId) sent.push(hint.mail ?? "");
    },
  };
  await wakeMails({ ambient: stage.ambient, jobs: healthy.jobs, hints })();
  return sent;
};

describe("a dry run that is to mail its result", () => {
  test("mails it once to the administrator at the address Graph has, and names no other person", async () => {
    const scene = await connect();
    const runId = await dryRun(scene);
    expect(stage.hints.map(({ hint }) => hint.mail)).toContain(runId);
    expect(await mailOf(scene, runId)).toMatchObject({ state: "waiting", reason: null });
    expect(await deliver(scene, runId)).toBe("mail-sent");
    expect(await deliver(scene, runId)).toBe("mail-gone");
    const [mail, ...more] = catcher.messages();
    expect(more).toEqual([]);
    expect(mail?.envelope).toEqual({ from: "sync@vendor.example", to: [scene.address] });
    expect(mail?.subject).toBe("Result of the test synchronization with Microsoft 365");
    expect(mail?.headers["message-id"]).toBe(`<${runId}@vendor.example>`);
    const run = await stage.store.read(scene.connectionId, "run", ids.run(runId));
    for (const part of [mail?.text ?? "", mail?.html ?? ""]) {
      expect(part).toContain(run?.planHash);
      expect(part).toContain("[address left out]");
      expect(part).not.toContain("evil");
    }
    expect(mail?.html).toContain("&lt;i&gt;Sales&lt;/i&gt;");
    expect(await mailOf(scene, runId)).toMatchObject({ state: "sent", reason: null });

    const { users } = stage.simulator.world.tenants.get(scene.tid)!.directory;
    const { ring } = contexts.get(scene.connectionId)!;
    const personal = [...users.values()].flatMap(({ id, properties }) => [
      id,
      personId(ring, id),
      ...[properties.displayName, properties.mail, properties.userPrincipalName].filter(
        (one) => typeof one === "string",
      ),
    ]);
    expect(personal.length).toBeGreaterThan(100);
    const said = `${mail?.subject} ${mail?.text} ${mail?.html}`;
    expect(personal.filter((words) => said.includes(words))).toEqual([]);
  });

  test("names the groups also when the plan was staged over many slices, and those that go by their stored name", async () => {
    const scene = await connect();
    await stage.sync(scene.connectionId);
    const { groups } = stage.simulator.world.tenants.get(scene.tid)!.directory;
    const gone = [...groups.values()].find(({ properties }) => String(properties.displayName).includes("Sales"))!;
    stage.simulator.commands.mutate.run({ tid: scene.tid, mutations: [{ op: "delete-group", id: gone.id }] });
    const before = stage.needs;
    stage.needs = { ...before, sliceMilliseconds: 0 };
    const runId = await dryRun(scene).finally(() => {
      stage.needs = before;
    });
    expect(await deliver(scene, runId)).toBe("mail-sent");
    expect(catcher.messages()[0]?.text).toContain("Groups removed\n  - <i>Sales</i> [address left out]");
  });

  test("is the only one that mails: not one without the wish, not another kind, not one that was cancelled", async () => {
    const scene = await connect();
    const without = await dryRun(scene, false);
    await stage.sync(scene.connectionId);
    expect(await mailOf(scene, without)).toBeNull();
    expect(await codeOf(resend(scene, without))).toBe("state-conflict");
    const { id } = await requestRun(viewNeeds(scene))(ada, scene.connectionId, { mode: "dry-run", mail: true });
    await cancelRun(viewNeeds(scene))(ada, scene.connectionId, id);
    await stage.settle(scene.connectionId);
    expect(await mailOf(scene, id)).toBeNull();
    expect(await due(scene)).toEqual([]);
    expect(catcher.messages()).toEqual([]);
  });

  test("is refused where no mails are sent", async () => {
    const scene = await connect();
    const { mails: _, ...rest } = viewNeeds(scene);
    expect(await codeOf(requestRun(rest)(ada, scene.connectionId, { mode: "dry-run", mail: true }))).toBe(
      "mail-not-offered",
    );
  });

  test("is not mailed outside the organisation's own domains", async () => {
    const scene = await connect("administrator@elsewhere.example");
    const runId = await dryRun(scene);
    expect(await deliver(scene, runId)).toBe("mail-refused");
    expect(await mailOf(scene, runId)).toMatchObject({ state: "refused", reason: "foreign-domain" });
    expect(catcher.messages()).toEqual([]);
    expect(await due(scene)).toEqual([]);
  });

  test("is not mailed to an administrator who is gone", async () => {
    const scene = await connect();
    stage.simulator.commands.mutate.run({ tid: scene.tid, mutations: [{ op: "delete-user", id: scene.admin }] });
    const runId = await dryRun(scene);
    expect(await deliver(scene, runId)).toBe("mail-refused");
    expect(await mailOf(scene, runId)).toMatchObject({ reason: "administrator-unknown" });
  });
});

describe("a mail that fails", () => {
  test("is shown, does no harm to the run, goes out when it is asked for again, and then no more", async () => {
    const scene = await connect();
    const runId = await dryRun(scene);
    deliverNeeds = {
      ...healthy,
      server: smtpServer({ url: "smtp://127.0.0.1:1", from: "sync@vendor.example", isLocal: true }),
    };
    expect(await deliver(scene, runId)).toBe("mail-failed");
    expect(await readRun(viewNeeds(scene))(ada, scene.connectionId, runId)).toMatchObject({
      outcome: "dry-run",
      failure: null,
      mail: { state: "failed", reason: "mail-server-unavailable" },
    });
    deliverNeeds = healthy;
    expect(await deliver(scene, runId)).toBe("mail-not-due");
    expect((await resend(scene, runId)).mail).toMatchObject({ state: "waiting", reason: null });
    expect(await due(scene)).toEqual([runId]);
    expect(await deliver(scene, runId)).toBe("mail-sent");
    expect(catcher.messages()).toHaveLength(1);
    expect(await codeOf(resend(scene, runId))).toBe("state-conflict");
  });

  test("for the moment is tried again by itself, twice", async () => {
    const scene = await connect();
    const runId = await dryRun(scene);
    catcher.refuseNext(2);
    for (const minutes of [0, 6, 31]) {
      stage.ambient.advance(minutes * 60_000);
      await deliver(scene, runId);
    }
    expect(catcher.messages()).toHaveLength(1);
    expect(await mailOf(scene, runId)).toMatchObject({ state: "sent" });
  });

  test("can be asked for again for three days, no longer", async () => {
    const scene = await connect("administrator@elsewhere.example");
    const runId = await dryRun(scene);
    await deliver(scene, runId);
    stage.ambient.advance(3 * 86_400_000);
    expect(await codeOf(resend(scene, runId))).toBe("mail-gone");
  });
});

test("the sixth mail of a connection's day is refused, and can be asked for the day after", async () => {
  const scene = await connect();
  // Not across midnight.
  stage.ambient.advance(86_400_000 - (stage.ambient.now() % 86_400_000) + 60_000);
  let last = "";
  for (let count = 0; count <= mailsPerDay; count++) {
    last = await dryRun(scene);
    await deliver(scene, last);
  }
  expect(catcher.messages()).toHaveLength(5);
  expect(await mailOf(scene, last)).toMatchObject({ state: "refused", reason: "daily-limit" });
  await resend(scene, last);
  expect(await deliver(scene, last)).toBe("mail-refused");
  stage.ambient.advance(86_400_000);
  await resend(scene, last);
  expect(await deliver(scene, last)).toBe("mail-sent");
});

describe("a worker that dies", () => {
  test("before the run has ended leaves a mail that waits for the run", async () => {
    const scene = await connect();
    const before = stage.needs;
    const { jobs, hints } = before.mails!;
    let puts = 0;
    stage.needs = {
      ...before,
      mails: {
        hints,
        jobs: {
          ...jobs,
          put: async (job) => {
            await jobs.put(job);
            if (++puts > 1) return;
            expect(await deliver(scene, job.runId)).toBe("mail-not-due");
            await commitLost(scene.connectionId);
          },
        },
      },
    };
    const runId = await dryRun(scene).finally(() => {
      stage.needs = before;
    });
    expect(puts).toBe(2);
    expect(catcher.messages()).toEqual([]);
    expect(await deliver(scene, runId)).toBe("mail-sent");
    expect(catcher.messages()).toHaveLength(1);
  });

  test("before the hint went out is replaced by the timer", async () => {
    const scene = await connect();
    const before = stage.needs;
    stage.needs = {
      ...before,
      mails: { jobs: before.mails!.jobs, hints: { send: () => Promise.reject(new Error("killed")) } },
    };
    const runId = await dryRun(scene).finally(() => {
      stage.needs = before;
    });
    expect(await due(scene)).toEqual([runId]);
  });

  test("while the mail goes out has it sent once more; after a second death somebody has to ask", async () => {
    const scene = await connect();
    const runId = await dryRun(scene);
    const dies: DeliverNeeds = {
      ...healthy,
      server: {
        send: async (mail) => {
          await healthy.server.send(mail);
          throw new Error("killed");
        },
      },
    };
    deliverNeeds = dies;
    await expect(deliver(scene, runId)).rejects.toThrow("killed");
    expect(await deliver(scene, runId)).toBe("mail-not-due");
    expect(await codeOf(resend(scene, runId))).toBe("state-conflict");
    stage.ambient.advance(6 * 60_000);
    expect(await due(scene)).toEqual([runId]);
    await expect(deliver(scene, runId)).rejects.toThrow("killed");
    stage.ambient.advance(6 * 60_000);
    expect(await deliver(scene, runId)).toBe("mail-failed");
    expect(catcher.messages()).toHaveLength(2);
    expect(await mailOf(scene, runId)).toMatchObject({ state: "failed", reason: "outcome-unknown" });
    expect(await due(scene)).toEqual([]);
  });

  test("between the mail and its job leaves a job that is only cleared away", async () => {
    const scene = await connect();
    const runId = await dryRun(scene);
    deliverNeeds = { ...healthy, jobs: { ...healthy.jobs, remove: () => Promise.reject(new Error("killed")) } };
    await expect(deliver(scene, runId)).rejects.toThrow("killed");
    deliverNeeds = healthy;
    stage.ambient.advance(6 * 60_000);
    expect(await deliver(scene, runId)).toBe("mail-gone");
    expect(catcher.messages()).toHaveLength(1);
    expect(await healthy.jobs.read({ connectionId: scene.connectionId, runId })).toBeNull();
  });

  test("is not joined by another: of two at once one sends", async () => {
    const scene = await connect();
    const runId = await dryRun(scene);
    const outcomes = await Promise.all([deliver(scene, runId), deliver(scene, runId)]);
    expect(catcher.messages()).toHaveLength(1);
    expect(outcomes).toContain("mail-sent");
  });
});

/** Another worker takes the lease: the one at work commits nothing more, and the run goes on from its last place. */
const commitLost = async (connectionId: string): Promise<void> => {
  const head = await stage.store.read(connectionId, "head", ids.head);
  if (!head) throw new Error("no head");
  const now = stage.ambient.now();
  await commit(stage, head, {
    advance: (fresh) => ({ ...fresh, owner: "somebody else", leaseUntil: now - 1, wakeAt: now }),
  });
};
