/** The API as a test sees it that wants to know everything about an answer: status, headers, the very text. */
import { setTimeout as delay } from "node:timers/promises";
import { z } from "zod";
import { type Permission, permissions } from "../../src/core/context.ts";
import { RunView } from "../../src/core/views/runs.ts";
import { everybody } from "../../src/local/demo/everybody.ts";
import type { Run } from "../../src/local/demo/runs.ts";
import type { Click } from "../../src/local/simulator/entra/click-through.ts";
import type { Stack } from "../../src/local/stack.ts";
import { consent } from "./browser.ts";

export interface Answer {
  status: number;
  headers: Headers;
  text: string;
  body: Record<string, unknown>;
}

export interface Request {
  body?: unknown;
  headers?: Readonly<Record<string, string>>;
}

/** `path` is below `/api/v1`. */
export type Caller = (method: string, path: string, request?: Request) => Promise<Answer>;

export interface CallerOptions {
  workspace: string;
  subject?: string;
  permissions?: readonly Permission[];
  headers?: Readonly<Record<string, string>>;
}

export const callerOf =
  (stack: Pick<Stack, "url" | "tokenFor">, options: CallerOptions): Caller =>
  async (method, path, { body, headers } = {}) => {
    const { workspace, subject = "tester", permissions: rights = permissions } = options;
    const token = await stack.tokenFor({ workspace, subject, permissions: [...rights] });
    const answer = await fetch(`${stack.url}/api/v1${path}`, {
      method,
      headers: {
        authorization: `Bearer ${token}`,
        ...(body === undefined ? {} : { "content-type": "application/json" }),
        ...options.headers,
        ...headers,
      },
      ...(body === undefined ? {} : { body: typeof body === "string" ? body : JSON.stringify(body) }),
    });
    const text = await answer.text();
    return { status: answer.status, headers: answer.headers, text, body: objectIn(text) };
  };

const objectIn = (text: string): Record<string, unknown> => {
  try {
    return z.record(z.string(), z.unknown()).parse(JSON.parse(text));
  } catch {
    return {};
  }
};

/** The answer, which must have this status. */
export const expectStatus = async (status: number, answer: Promise<Answer>): Promise<Answer> => {
  const got = await answer;
  if (got.status !== status) throw new Error(`Expected ${status}, got ${got.status}: ${got.text}`);
  return got;
};

/** Nobody listens there: the browser's last address is read and not opened. */
export const returnUrl = "http://localhost:9/connected";

export const startConsent = async (call: Caller, connectionId: string): Promise<string> => {
  const asked = call("POST", `/connections/${connectionId}/consent`, { body: { tier: "read", returnUrl } });
  return String((await expectStatus(201, asked)).body.connectUrl);
};

export const admitEverybody = async (call: Caller, connectionId: string): Promise<void> => {
  const path = `/connections/${connectionId}/settings`;
  const { headers } = await expectStatus(200, call("GET", path));
  const request = { body: everybody, headers: { "if-match": headers.get("etag") ?? "" } };
  await expectStatus(200, call("PUT", path, request));
};

export const createDraft = async (call: Caller, displayName: string): Promise<string> => {
  const made = call("POST", "/connections", { body: { displayName, access: { read: true } } });
  return String((await expectStatus(201, made)).body.id);
};

/** The one-time code with which the browser came back. */
export const approve = async (call: Caller, connectionId: string, account: string): Promise<string> => {
  const click: Click = { account };
  const back = await consent(await startConsent(call, connectionId), [click, click]);
  const code = back.searchParams.get("code");
  if (code === null) throw new Error(`The browser came back with ${back.search}.`);
  return code;
};

/** Finishes the setup without a test, and asks for the first run instead of waiting for it. */
export const begin = async (call: Caller, connectionId: string): Promise<void> => {
  const path = `/connections/${connectionId}`;
  await expectStatus(200, call("POST", `${path}/settings/steps/finish`, { body: { withoutTest: true } }));
  await expectStatus(202, call("POST", `${path}/runs`, { body: { mode: "full" } }));
};

/** From nothing to an active connection, whose first run has been asked for. */
export const connect = async (call: Caller, displayName: string, account: string): Promise<string> => {
  const id = await createDraft(call, displayName);
  await admitEverybody(call, id);
  const code = await approve(call, id, account);
  await expectStatus(200, call("POST", `/connections/${id}/consent/complete`, { body: { code } }));
  await begin(call, id);
  return id;
};

const patienceMs = 60_000;

/** Asks until the answer is there; says what was waited for when it does not come. */
export const until = async <T>(what: string, ask: () => Promise<T | null>): Promise<T> => {
  const giveUpAt = Date.now() + patienceMs;
  for (;;) {
    const found = await ask();
    if (found !== null) return found;
    if (Date.now() > giveUpAt) throw new Error(`Waited in vain for ${what}.`);
    await delay(100);
  }
};

export const runsOf = async (call: Caller, connectionId: string): Promise<Run[]> => {
  const { body } = await expectStatus(200, call("GET", `/connections/${connectionId}/runs?limit=200`));
  return z.array(RunView).parse(body.items);
};

export const readRun = async (call: Caller, connectionId: string, runId: string): Promise<Run> =>
  RunView.parse((await expectStatus(200, call("GET", `/connections/${connectionId}/runs/${runId}`))).body);

export const askForRun = async (
  call: Caller,
  connectionId: string,
  mode: "full" | "delta" | "dry-run",
): Promise<string> => {
  const asked = call("POST", `/connections/${connectionId}/runs`, { body: { mode } });
  return String((await expectStatus(202, asked)).body.id);
};

/** The newest run, when nothing is under way any more. */
export const settled = (call: Caller, connectionId: string): Promise<Run> =>
  until("the end of a run", async () => {
    const runs = await runsOf(call, connectionId);
    return runs.every(({ phase }) => phase === "ended") ? (runs[0] ?? null) : null;
  });

/** A run from asking for it to its end, however it ends. */
export const runNow = async (
  call: Caller,
  connectionId: string,
  mode: "full" | "delta" | "dry-run" = "delta",
): Promise<Run> => {
  const id = await askForRun(call, connectionId, mode);
  return until("the end of a run", async () => {
    const run = await readRun(call, connectionId, id);
    return run.phase === "ended" ? run : null;
  });
};
