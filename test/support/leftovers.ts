/** Gathers what a stack has left behind: in its database, queues, mails and vault, and on its disk. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { QueueServiceClient } from "@azure/storage-queue";
import { z } from "zod";
import { openCosmos } from "../../src/adapters/cosmos/client.ts";
import { plantedId } from "./record.ts";
import type { TestStack } from "./stack.ts";
import { documentsIn, type StoredDocument, type Trace } from "./traces.ts";

export interface Message {
  queue: string;
  text: string;
}

/** Messages that show themselves now, of all queues; nothing is taken away. */
export const peekQueues = async ({ queues }: Pick<TestStack, "queues">): Promise<Message[]> => {
  const service = QueueServiceClient.fromConnectionString(queues?.connectionString ?? "");
  const found: Message[] = [];
  for await (const { name } of service.listQueues()) {
    const { peekedMessageItems } = await service.getQueueClient(name).peekMessages({ numberOfMessages: 32 });
    for (const { messageText } of peekedMessageItems)
      found.push({ queue: name, text: Buffer.from(messageText, "base64").toString("utf8") });
  }
  return found;
};

/** Writes a word into several containers as it must never be there: clear, encoded twice, sealed in name only, as a partition. */
export const plantInDatabase = async ({ cosmos }: Pick<TestStack, "cosmos">, word: string): Promise<void> => {
  if (!cosmos) throw new Error("Nothing is planted in a real database.");
  const handles = openCosmos(cosmos);
  const encoded = Buffer.from(JSON.stringify({ word })).toString("base64url");
  const wide = Buffer.from(`..${word}`, "utf16le").toString("base64");
  try {
    await handles.state.items.create({
      id: `${plantedId}-clear`,
      key: "k",
      deep: [{ body: JSON.stringify({ word }) }],
    });
    await handles.access.items.create({ id: `${plantedId}-encoded`, pk: "k", content: wide });
    await handles.handshakes.items.create({ id: `${plantedId}-not-sealed`, content: `1.handshake-1.${encoded}` });
    await handles.work.items.create({ id: `${plantedId}-partition`, runId: word });
  } finally {
    handles.dispose();
  }
};

export const plantedPlaces = ["state/clear", "access/encoded", "handshakes/not-sealed", "work/partition"].map((place) =>
  place.replace("/", `/${plantedId}-`),
);

export interface Leftovers {
  documents: StoredDocument[];
  messages: Message[];
  mails: string[];
}

export const leftIn = async (stack: TestStack): Promise<Leftovers> => ({
  documents: documentsIn((await stack.cosmos?.dump()) ?? ""),
  messages: await peekQueues(stack),
  mails: stack.mail?.messages().map(({ raw }) => raw) ?? [],
});

const VaultFile = z.object({
  secrets: z.array(z.object({ name: z.string(), versions: z.array(z.object({ value: z.string() })) })),
});

/** `rest` is all that the vault keeps beside the values: names, tags, times. */
export const vaultIn = (dataDir: string): { names: string[]; values: string[]; rest: string } => {
  const text = readFileSync(join(dataDir, "vault.json"), "utf8");
  const { secrets } = VaultFile.parse(JSON.parse(text));
  const values = secrets.flatMap(({ versions }) => versions.map(({ value }) => value));
  return {
    names: secrets.map(({ name }) => name),
    values,
    rest: values.reduce((left, value) => left.replaceAll(value, ""), text),
  };
};

const writtenByTheProduct = /^(cosmos\.sqlite|queues|mail|timers|stack\.log)/;

/** Byte for byte, so also what was overwritten or deleted and is still there. The simulated Microsoft's own files are left out. */
export const filesIn = (dataDir: string): Trace[] =>
  readdirSync(dataDir, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(dataDir.length + 1))
    .filter((name) => writtenByTheProduct.test(name))
    .map((name) => ({ where: name, text: readFileSync(join(dataDir, name), "latin1") }));
