/** Whoever looks after subscriptions holds no means to write anything else. */
import { AppError } from "../../core/errors.ts";

export const assertSubscriptions = ({ method, url }: { method: string; url: URL }): void => {
  if (!/^\/[^/]+\/subscriptions(\/[\w-]+)?$/.test(url.pathname))
    throw new AppError("unexpected", { detail: `Only subscriptions are meant here: ${method} refused.` });
};
