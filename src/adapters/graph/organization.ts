/** What Graph says of a tenant itself; consent compares its id with the tenant that approved. */
import { AppError } from "../../core/errors.ts";
import { describe, isObject } from "./answers.ts";
import type { GraphClient, Tenant } from "./client.ts";

export interface Organization {
  /** Equals the tenant id; lower case. */
  id: string;
  displayName: string;
  verifiedDomains: string[];
}

export const organization =
  (client: GraphClient) =>
  async (connection: Tenant): Promise<Organization> => {
    const url = client.address.at("/organization?$select=id,displayName,verifiedDomains");
    const answer = await client.send(connection, { method: "GET", url });
    if (answer.status !== 200) throw new AppError("graph-refused", { detail: describe(answer) });
    const found: unknown = Array.isArray(answer.body?.value) ? answer.body.value[0] : null;
    if (!isObject(found) || typeof found.id !== "string")
      throw new AppError("graph-unavailable", { detail: "organization" });
    const domains = Array.isArray(found.verifiedDomains) ? found.verifiedDomains.filter(isObject) : [];
    return {
      id: found.id.toLowerCase(),
      displayName: typeof found.displayName === "string" ? found.displayName : "",
      verifiedDomains: domains.map(({ name }) => name).filter((name) => typeof name === "string"),
    };
  };
