/** The addresses that notifications are sent to, as Microsoft speaks to them: https, and no redirect is followed. */
import { randomBytes, randomUUID } from "node:crypto";
import { Agent, request } from "node:https";

export interface EndpointRequest {
  contentType: string;
  body: string;
  timeoutMilliseconds: number;
}

export interface EndpointAnswer {
  /** Null: none in time, or no connection. */
  status: number | null;
  contentType: string;
  body: string;
  milliseconds: number;
}

export interface Endpoints {
  post(url: string, asked: EndpointRequest): Promise<EndpointAnswer>;
}

const handshakeMilliseconds = 10_000;
const largestAnswer = 4096;
/** To one host. Whoever waits for one is waiting for the answer. */
const maxSockets = 64;

/** `trust`: PEM text of an authority beside nobody else; absent: whom the process trusts. */
export const httpsEndpoints = (trust?: string): Endpoints & { close: () => void } => {
  const agent = new Agent({
    keepAlive: true,
    maxSockets,
    minVersion: "TLSv1.2",
    ...(trust === undefined ? {} : { ca: trust }),
  });
  return {
    post: (url, asked) => post(agent, url, asked),
    close: () => agent.destroy(),
  };
};

const post = async (
  agent: Agent,
  url: string,
  { contentType, body, timeoutMilliseconds }: EndpointRequest,
): Promise<EndpointAnswer> => {
  const begun = performance.now();
  const took = (): number => performance.now() - begun;
  try {
    const signal = AbortSignal.timeout(timeoutMilliseconds);
    const headers = { "content-type": contentType, "content-length": Buffer.byteLength(body) };
    const answer = await new Promise<Omit<EndpointAnswer, "milliseconds">>((resolve, reject) => {
      const outgoing = request(url, { method: "POST", agent, signal, headers }, (incoming) => {
        let text = "";
        incoming.setEncoding("utf8");
        incoming.on("data", (chunk: string) => {
          if (text.length < largestAnswer) text += chunk;
        });
        incoming.once("error", reject);
        incoming.once("end", () => {
          const type = incoming.headers["content-type"] ?? "";
          resolve({ status: incoming.statusCode ?? null, contentType: type, body: text });
        });
      });
      outgoing.once("error", reject);
      outgoing.end(body);
    });
    return { ...answer, milliseconds: took() };
  } catch {
    return { status: null, contentType: "", body: "", milliseconds: took() };
  }
};

/** The handshake: the token comes back in clear, and nothing else does. Answers what was wrong. */
export const validate = async (endpoints: Endpoints, url: string): Promise<string | null> => {
  const token = newToken();
  const address = `${url}${url.includes("?") ? "&" : "?"}validationToken=${encodeURIComponent(token)}`;
  const { status, contentType, body } = await endpoints.post(address, {
    contentType: "text/plain; charset=utf-8",
    body: "",
    timeoutMilliseconds: handshakeMilliseconds,
  });
  if (status === null) return "The endpoint did not answer.";
  if (status !== 200) return `The endpoint answered ${status}.`;
  if (!/^text\/plain(;|$)/i.test(contentType)) return "The answer is not text/plain.";
  return body === token ? null : "The answer is not the validation token.";
};

/** Opaque, so it holds everything that is spoilt by one decoding too many or too few. */
const newToken = (): string =>
  `Validation: Testing client+application reachability for 100%25 of subscription Request-Id: ${randomUUID()} ${randomBytes(9).toString("base64")}`;
