/**
 * Keeps the index of a tenant's connections that offer sign-in, for sign-ins that begin with a domain. A row is a hint and never
 * decides; one that is missing is made again by whatever next shows the connection's access.
 */
import { isRedeemed } from "../connections/tiers.ts";
import type { ConnectionView } from "../connections/views.ts";
import { isAppError } from "../errors.ts";
import { type TenantIndex, UnknownOutcome } from "../store/ports.ts";

type Shown = Pick<ConnectionView, "id" | "tid" | "access">;

/** `use`, after which the connection that it has answered stands in the index, or no longer does. */
export const listing =
  ({ tenants }: { tenants: TenantIndex }) =>
  <A extends unknown[], R>(
    use: (...input: A) => Promise<R>,
    shown: (result: R) => Shown,
  ): ((...input: A) => Promise<R>) =>
  async (...input) => {
    const result = await use(...input);
    try {
      const { id, tid, access } = shown(result);
      if (tid !== null) await (isRedeemed(access.signIn) ? tenants.add(tid, id) : tenants.remove(tid, id));
    } catch (error) {
      // What was asked for has been done.
      if (!isAppError(error, "store-unavailable") && !(error instanceof UnknownOutcome)) throw error;
    }
    return result;
  };
