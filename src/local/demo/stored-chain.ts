/** An auditor's look at the stored change log: no key is needed to see that nothing of it was altered, left out or put in. */
import { openCosmos } from "../../adapters/cosmos/client.ts";
import { directoryStore } from "../../adapters/cosmos/directory-store.ts";
import { chainStart, verifyChain } from "../../core/audit/change-log.ts";
import type { CosmosProcess } from "../cosmos/process.ts";
import type { Witness } from "./picture.ts";

const documentsPerPage = 20;

/** Null: the stored log leads from its beginning to what the feed said. Otherwise what is wrong. */
export const faultInChain = async (
  { endpoint, database, key }: Pick<CosmosProcess, "endpoint" | "database" | "key">,
  connectionId: string,
  witness: Witness,
): Promise<string | null> => {
  const handles = openCosmos({ endpoint, database, key });
  try {
    const store = directoryStore(handles.directory);
    let reached: Witness = { sequence: 0, chain: chainStart(connectionId) };
    while (reached.sequence < witness.sequence) {
      const docs = await store.log(connectionId, reached.sequence, documentsPerPage);
      const { fault, sequence, chain } = verifyChain(docs, reached);
      if (fault) return `The stored log has a fault (${fault.fault}) at ${fault.sequence}.`;
      if (docs.length === 0) return `The stored log ends at ${reached.sequence} of ${witness.sequence}.`;
      reached = { sequence, chain };
    }
    const same = reached.sequence === witness.sequence && reached.chain === witness.chain;
    return same ? null : "The stored log does not lead to the chain that the feed names.";
  } finally {
    handles.dispose();
  }
};
