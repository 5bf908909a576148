/** What a function gets to see of a queue message. */
import type { ReceivedMessageItem } from "@azure/storage-queue";
import type { TypedData } from "./contract.ts";
import type { TriggerInput } from "./invocation.ts";

/** Undefined: not what the encoding promises; such a message is set aside without a call. */
export const decodeText = (text: string, encoding: "base64" | "none"): string | undefined => {
  if (encoding === "none") return text;
  const compact = text.replaceAll(/\s/g, "");
  const isBase64 = compact.length % 4 === 0 && /^[A-Za-z0-9+/]*={0,2}$/.test(compact);
  return isBase64 ? Buffer.from(compact, "base64").toString("utf8") : undefined;
};

export const toTriggerInput = (message: ReceivedMessageItem, body: string): TriggerInput => ({
  data: { string: body },
  metadata: withPropertiesOf(body, {
    QueueTrigger: { string: body },
    DequeueCount: { json: String(message.dequeueCount) },
    Id: { string: message.messageId },
    PopReceipt: { string: message.popReceipt },
    InsertionTime: { json: JSON.stringify(message.insertedOn) },
    ExpirationTime: { json: JSON.stringify(message.expiresOn) },
    NextVisibleTime: { json: JSON.stringify(message.nextVisibleOn) },
  }),
});

/**
 * The trap of the real host: each property of a JSON object, except arrays, joins the metadata and replaces what has the same name in
 * whatever case. A message with a property "id" or "dequeueCount" shadows the true one.
 */
const withPropertiesOf = (body: string, metadata: Record<string, TypedData>): Record<string, TypedData> => {
  const spelling = new Map(Object.keys(metadata).map((name) => [name.toLowerCase(), name]));
  const merged = { ...metadata };
  for (const [name, value] of Object.entries(parseObject(body))) {
    if (Array.isArray(value)) continue;
    const key = spelling.get(name.toLowerCase()) ?? name;
    spelling.set(name.toLowerCase(), key);
    merged[key] = typeof value === "string" ? { string: value } : { json: JSON.stringify(value) };
  }
  return merged;
};

const parseObject = (body: string): object => {
  try {
    const parsed: unknown = JSON.parse(body);
    return typeof parsed === "object" && parsed !== null && !Array.isArray(parsed) ? parsed : {};
  } catch {
    return {};
  }
};
