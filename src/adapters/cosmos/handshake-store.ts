/** Consent, sign-in and one-time codes: container `handshakes`, one document per logical partition. */
import type { Container } from "@azure/cosmos";
import type { HandshakeDoc, HandshakeStore } from "../../core/store/ports.ts";
import { createOnce, readDocument, toBody, writing } from "./requests.ts";

export const handshakeStore = (container: Container): HandshakeStore => ({
  create: (doc) => createOnce(container, doc),

  read: (id) => readDocument<HandshakeDoc>(container, id, id),

  /** Not sent again when its outcome is unknown: a code that may have been used counts as used. */
  replace: async (doc) => {
    const accessCondition = { type: "IfMatch", condition: doc._etag };
    const { statusCode } = await writing(
      () => container.item(doc.id, doc.id).replace(toBody(doc), { accessCondition }),
      404,
      412,
    );
    return statusCode < 300;
  },

  claim: async (id, ttlSeconds) => {
    const { statusCode } = await writing(() => container.items.create({ id, ttl: ttlSeconds }), 409);
    return statusCode !== 409;
  },
});
