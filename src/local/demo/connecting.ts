/** What a product's back end does to connect a tenant; what the browser does in between is not its business. */
import { z } from "zod";
import { StackFault } from "../stack/fault.ts";
import type { Product } from "./product.ts";

export const Connection = z.object({
  id: z.string(),
  displayName: z.string(),
  state: z.string(),
  tid: z.string().nullable(),
});
export type Connection = z.output<typeof Connection>;

export const createConnection = (product: Product, displayName: string): Promise<Connection> =>
  product.post("/connections", { displayName, access: { read: true } }, Connection);

const Started = z.object({ connectUrl: z.url() });

/** The address that an administrator has to open. */
export const startConsent = async (product: Product, id: string, returnUrl: string): Promise<string> =>
  (await product.post(`/connections/${id}/consent`, { tier: "read", returnUrl }, Started)).connectUrl;

/** `returned` is the query with which the browser came back. */
export const completeConsent = (product: Product, id: string, returned: URLSearchParams): Promise<Connection> => {
  const code = returned.get("code");
  if (code === null)
    throw new StackFault(`The administrator did not approve: ${returned.get("error") ?? "no reason was given"}.`);
  return product.post(`/connections/${id}/consent/complete`, { code }, Connection);
};

/** Until then the schedule starts nothing. Finished a second time it stays as it is. */
export const finishSetup = (product: Product, id: string): Promise<unknown> =>
  product.post(`/connections/${id}/settings/steps/finish`, { withoutTest: true }, z.object({}));

/** Asks for the first sync as well, which the schedule would start some time within a day. */
export const beginSync = async (product: Product, id: string): Promise<void> => {
  await finishSetup(product, id);
  await product.post(`/connections/${id}/runs`, { mode: "full" }, z.object({}));
};
