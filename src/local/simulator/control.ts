/** The control port: `POST /<command>` with a JSON body, for whoever knows the secret. */
import { timingSafeEqual } from "node:crypto";
import { CommandRefusal } from "./command.ts";
import type { Commands } from "./commands.ts";
import type { SimRequest, SimResponse } from "./http.ts";

export const createControl =
  (commands: Commands, secret: string, afterwards: () => void) =>
  async (request: SimRequest): Promise<SimResponse> => {
    if (!sameText(request.headers["x-control-secret"] ?? "", secret)) {
      return { status: 401, body: { error: "The header x-control-secret is missing or wrong." } };
    }
    const name = request.url.pathname.slice(1);
    if (!isCommand(commands, name))
      return { status: 404, body: { error: "Unknown command.", commands: Object.keys(commands) } };
    if (request.method !== "POST") return { status: 405, headers: { allow: "POST" }, body: { error: "Use POST." } };
    try {
      const body = commands[name].answer(request.body === "" ? {} : JSON.parse(request.body));
      afterwards();
      return { status: 200, body };
    } catch (error) {
      afterwards();
      const refused = error instanceof CommandRefusal || error instanceof SyntaxError;
      if (!refused) throw error;
      return { status: 400, body: { error: error.message } };
    }
  };

const isCommand = (commands: Commands, name: string): name is keyof Commands => Object.hasOwn(commands, name);

const sameText = (given: string, expected: string): boolean => {
  const [one, other] = [Buffer.from(given), Buffer.from(expected)];
  return one.length === other.length && timingSafeEqual(one, other);
};
