/** Addresses that may be called with a token: below the Graph address this installation is configured for, and nothing else. */
import { AppError } from "../../core/errors.ts";

export interface GraphAddress {
  /** `path` begins with `/` and is encoded already. */
  at(path: string): URL;
  /**
   * A link that Graph sent, now or in an earlier run. Another host, another port or another version is refused as
   * `graph-foreign-link`: the SDK would follow it, to an allowed host even with our token.
   */
  own(link: unknown): URL;
}

export const graphAddress = (baseUrl: string): GraphAddress => {
  const base = new URL(baseUrl);
  if (base.protocol !== "https:") throw new AppError("not-configured", { detail: "GRAPH_BASE_URL must be https." });
  const prefix = `${base.pathname.replace(/\/+$/, "")}/`;

  const own = (link: unknown): URL => {
    const url = typeof link === "string" ? URL.parse(link) : null;
    const ours =
      url?.origin === base.origin && url.pathname.startsWith(prefix) && url.username === "" && url.password === "";
    if (!url || !ours) throw new AppError("graph-foreign-link");
    return url;
  };

  return { own, at: (path) => own(`${base.origin}${prefix}${path.replace(/^\//, "")}`) };
};
