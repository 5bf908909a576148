/** Pauses that Microsoft Graph asked for: container `shared`, one document per logical partition. */
import type { Container } from "@azure/cosmos";
import { AppError } from "../../core/errors.ts";
import type { SharedStore } from "../../core/store/ports.ts";
import { readDocument, repeating, writing } from "./requests.ts";

const pauseId = "pause";

/** Seconds that a pause stays after it was last extended: longer than any wait Graph asks for, and then it is litter. */
const keptSeconds = 7 * 24 * 3600;

/** Between the two requests of a pause somebody else may create the document, or its time may run out. */
const rounds = 3;

export const sharedStore = (container: Container): SharedStore => ({
  pauseUntil: async (key) => (await readDocument<{ until: number }>(container, key, pauseId))?.until ?? 0,

  pause: (key, until) =>
    repeating(async () => {
      if (!Number.isSafeInteger(until)) throw new RangeError("a pause ends at a whole number of milliseconds");
      const item = container.item(pauseId, key);
      const condition = `FROM c WHERE c.until < ${until}`;
      for (let round = 1; round <= rounds; round += 1) {
        const extended = await writing(
          () => item.patch({ condition, operations: [{ op: "set", path: "/until", value: until }] }),
          404,
          412,
        );
        if (extended.statusCode !== 404) return;
        const created = await writing(() => container.items.create({ id: pauseId, key, until, ttl: keptSeconds }), 409);
        if (created.statusCode !== 409) return;
      }
      throw new AppError("store-unavailable");
    }),
});
