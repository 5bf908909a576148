/** `/_control/*`: faults, figures and the whole content, for tests in another process. Secret: the account key, in a header of its own. */
import { timingSafeEqual } from "node:crypto";
import type { IncomingMessage, ServerResponse } from "node:http";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { jsonOf } from "./document.ts";
import { type CosmosFaults, FaultsChange } from "./faults.ts";
import type { Store } from "./store.ts";

export const controlKeyHeader = "x-control-key";

export interface CosmosStats {
  requests: number;
  /** Documents written or removed. */
  writes: number;
  bytes: number;
  containers: Record<string, { documents: number; bytes: number }>;
}

export const answerControl = async (
  request: IncomingMessage,
  response: ServerResponse,
  needs: { path: string; body: string; store: Store; faults: CosmosFaults; requests: () => number },
): Promise<void> => {
  const { path, body, store, faults } = needs;
  const answer = (status: number, value: object): void => {
    response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(value));
  };
  const given = Buffer.from(String(request.headers[controlKeyHeader] ?? ""));
  const expected = Buffer.from(store.key);
  if (given.length !== expected.length || !timingSafeEqual(given, expected)) {
    return answer(401, { code: "Unauthorized", message: `${controlKeyHeader} has to be the account key.` });
  }
  switch (`${request.method} ${path}`) {
    case "GET /_control/faults":
      return answer(200, faults);
    case "POST /_control/faults": {
      const change = FaultsChange.safeParse(jsonOf(body));
      if (!change.success) return answer(400, { code: "BadRequest", message: change.error.message });
      return answer(200, Object.assign(faults, change.data));
    }
    case "GET /_control/stats": {
      const stats: CosmosStats = { requests: needs.requests(), ...store.stats() };
      return answer(200, stats);
    }
    case "GET /_control/dump":
      response.writeHead(200, { "content-type": "application/x-ndjson" });
      return pipeline(Readable.from(store.dump()), response);
    default:
      return answer(404, { code: "NotFound", message: `${request.method} ${path} is no control of this server.` });
  }
};
