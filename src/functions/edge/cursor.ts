/**
 * Cursors of lists, sealed: bound to the route, the workspace, the connection and everything that was asked for, and good for an
 * hour. What a caller gets back from us tells nothing and cannot be altered or used elsewhere.
 */
import { createHash } from "node:crypto";
import type { Ambient } from "../../core/ambient.ts";
import { canonicalJson } from "../../core/canonical-json.ts";
import type { Keys } from "../../core/crypto/keys.ts";
import { platformGeneration } from "../../core/crypto/platform-key.ts";
import { open, type Place, type Sealed, seal, sealedUnder } from "../../core/crypto/seal.ts";
import { AppError } from "../../core/errors.ts";

/** What a cursor belongs to. */
export interface CursorUse {
  route: string;
  workspaceId: string;
  /** Path parameters and query without `limit` and `cursor`. */
  parameters: Readonly<Record<string, string>>;
}

export interface Cursors {
  seal(use: CursorUse, position: string): Promise<string>;
  /** Throws `invalid-cursor` for everything that is not a living cursor of this very use. */
  open(use: CursorUse, cursor: string): Promise<string>;
}

interface Content {
  position: string;
  expiresAt: number;
}

export const cursorMilliseconds = 3_600_000;

export const sealedCursors = (ambient: Ambient, keys: Pick<Keys, "platform">): Cursors => ({
  seal: async (use, position) => {
    const platform = await keys.platform();
    const content: Content = { position, expiresAt: ambient.now() + cursorMilliseconds };
    return seal(ambient, platform.derive("cursor", platform.current), placeOf(use), content);
  },
  open: async (use, cursor) => {
    const platform = await keys.platform();
    const generation = platformGeneration(sealedUnder(cursor), "cursor");
    const content = generation === null ? null : opened(use, cursor, () => platform.derive("cursor", generation));
    if (!content || content.expiresAt <= ambient.now()) throw new AppError("invalid-cursor", { field: "cursor" });
    return content.position;
  },
});

const opened = (use: CursorUse, cursor: string, key: () => Parameters<typeof open>[0]): Content | null => {
  try {
    return open(key(), placeOf(use), cursor as Sealed<Content>);
  } catch {
    return null;
  }
};

const placeOf = ({ route, workspaceId, parameters }: CursorUse): Place => ({
  container: "cursor",
  partition: workspaceId,
  document: parameters.connection ?? "",
  fields: `${route} ${createHash("sha256").update(canonicalJson(parameters)).digest("base64url")}`,
});
