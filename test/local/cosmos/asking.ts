/** How tests ask a container. */
import { randomUUID } from "node:crypto";
import type { Container, SqlParameter } from "@azure/cosmos";

export const partition = (): string => `c-${randomUUID()}`;

export const idsOf = async (
  container: Container,
  partitionKey: string,
  where: string,
  values: Record<string, unknown> = {},
): Promise<string[]> => {
  const found = await pages<{ id: string }>(
    container,
    { query: `SELECT c.id FROM c ${where}`, values },
    { partitionKey },
  );
  return found.flat().map(({ id }) => id);
};

export const parametersOf = (values: Record<string, unknown>): SqlParameter[] =>
  Object.entries(values).map(([name, value]) => ({ name: `@${name}`, value: value as SqlParameter["value"] }));

/** The status of a refusal, also of one that a batch wraps. */
export const codeOf = async (call: Promise<unknown>): Promise<unknown> => {
  try {
    await call;
    return "succeeded";
  } catch (error) {
    const outer = error as { code?: unknown; cause?: { code?: unknown } };
    return outer.code ?? outer.cause?.code;
  }
};

export const pages = async <T>(
  container: Container,
  { query, values }: { query: string; values: Record<string, unknown> },
  options: { partitionKey?: string; maxItemCount?: number },
): Promise<T[][]> => {
  const found: T[][] = [];
  const iterator = container.items.query<T>({ query, parameters: parametersOf(values) }, options);
  while (iterator.hasMoreResults()) {
    const { resources } = await iterator.fetchNext();
    found.push(resources ?? []);
  }
  return found;
};
