/** A TLS server on localhost that plays answers and remembers requests; stands for Graph, for Entra ID, or for an attacker. */
import { createServer } from "node:https";
import type { AddressInfo } from "node:net";
import { afterAll, beforeEach } from "vitest";
import { type GraphClientOptions, graphClient } from "../../src/adapters/graph/client.ts";
import type { SharedStore } from "../../src/core/store/ports.ts";
import { createCertificateAuthority, trustInThisProcess } from "../../src/local/tls.ts";

export interface Seen {
  method: string;
  /** Path and query exactly as they came. */
  target: string;
  headers: Record<string, string>;
  body: string;
}

export type Reply =
  | { status?: number; headers?: Record<string, string>; body?: object | string }
  | "reset"
  /** Headers and half a body, and then nothing. */
  | "hang";

export interface ScriptedServer {
  /** `https://localhost:<port>`. */
  url: string;
  seen: Seen[];
  answer: (seen: Seen) => Reply | Promise<Reply>;
  close(): Promise<void>;
}

const authority = createCertificateAuthority().then((ca) => {
  trustInThisProcess(ca.caPem);
  return ca;
});

export const startScripted = async (): Promise<ScriptedServer> => {
  const certificate = await (await authority).issueServerCertificate();
  const server = createServer(certificate, (request, response) => {
    const parts: Buffer[] = [];
    request.on("data", (part: Buffer) => parts.push(part));
    request.on("end", () => {
      const headers = Object.fromEntries(Object.entries(request.headers).map(([name, value]) => [name, String(value)]));
      const body = Buffer.concat(parts).toString("utf8");
      const seen: Seen = { method: request.method ?? "", target: request.url ?? "", headers, body };
      scripted.seen.push(seen);
      void Promise.resolve(scripted.answer(seen)).then((reply) => {
        if (reply === "reset") return request.socket.destroy();
        if (reply === "hang") return response.writeHead(200, { "content-type": "application/json" }).write('{"value":');
        const { status = 200, headers: replyHeaders = {}, body: content = "" } = reply;
        const text = typeof content === "string" ? content : JSON.stringify(content);
        return response.writeHead(status, { "content-type": "application/json", ...replyHeaders }).end(text);
      });
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "localhost", resolve));
  const scripted: ScriptedServer = {
    url: `https://localhost:${(server.address() as AddressInfo).port}`,
    seen: [],
    answer: () => ({ status: 404 }),
    close: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  return scripted;
};

/** For the tests of a file: up from its first to its last, and each begins with nothing asked. */
export const scriptedForFile = async (): Promise<ScriptedServer> => {
  const scripted = await startScripted();
  afterAll(() => scripted.close());
  beforeEach(() => {
    scripted.seen = [];
  });
  return scripted;
};

/** Answers in turn; the last one again and again. */
export const inTurn = (...replies: Reply[]): ((seen: Seen) => Reply) => {
  let turn = 0;
  return () => replies[Math.min(turn++, replies.length - 1)] ?? { status: 500 };
};

export const graphError = (
  status: number,
  code: string,
  extra: { inner?: object; headers?: Record<string, string> } = {},
): Reply => ({
  status,
  headers: { "request-id": "6b3f0d0e-0000-4000-8000-000000000001", ...extra.headers },
  body: {
    error: {
      code,
      message: "Text that may name erika.mustermann@contoso.example.",
      innerError: { date: "2026-01-01T00:00:00", ...extra.inner },
    },
  },
});

export const sharedInMemory = (): SharedStore & { reads: number } => {
  const until = new Map<string, number>();
  const store = {
    reads: 0,
    pauseUntil: async (key: string) => {
      store.reads++;
      return until.get(key) ?? 0;
    },
    pause: async (key: string, time: number) => void until.set(key, Math.max(time, until.get(key) ?? 0)),
  };
  return store;
};

export const tidA = "aaaaaaaa-0000-4000-8000-00000000000a";
export const tidB = "bbbbbbbb-0000-4000-8000-00000000000b";
export const tenantA = { connectionId: "c-a", tid: tidA };
export const tenantB = { connectionId: "c-b", tid: tidB };

/** A client of a scripted Graph, its clock and the tokens it asked for. */
export const scriptedClient = (server: ScriptedServer, options: Partial<GraphClientOptions> = {}) => {
  const clock = { now: Date.parse("2026-03-01T12:00:00Z") };
  const asked: string[] = [];
  const client = graphClient({
    baseUrl: `${server.url}/v1.0`,
    tier: "read",
    clientId: "app-1",
    tokens: {
      token: async (_tier, tid, { fresh } = { fresh: false }) => {
        asked.push(`${tid}${fresh ? " fresh" : ""}`);
        return `token-of-${tid}-${asked.length}`;
      },
    },
    shared: sharedInMemory(),
    now: () => clock.now,
    ...options,
  });
  return { client, clock, asked };
};
