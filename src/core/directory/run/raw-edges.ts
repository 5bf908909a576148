/** Raw membership changes of one group, as the feed told them, and how they are cut into parts that fit into a document. */
export interface GroupEdges {
  add: string[];
  remove: string[];
  addChildren: string[];
  removeChildren: string[];
}

export const edgeKinds = ["add", "remove", "addChildren", "removeChildren"] as const;
export const noEdges = (): GroupEdges => ({ add: [], remove: [], addChildren: [], removeChildren: [] });

/** By group. A group may be in several parts. */
export type EdgePart = Record<string, GroupEdges>;

/** Packed and sealed, 25,000 ids are some 650 kB; a document has room for 2 MB. */
const idsPerPart = 25_000;
const idsPerPiece = 5_000;

export const edgePartsOf = (edges: EdgePart): EdgePart[] => {
  let part: EdgePart = {};
  let ids = 0;
  const parts = [part];
  for (const [group, told] of Object.entries(edges))
    for (const kind of edgeKinds)
      for (let at = 0; at < told[kind].length; at += idsPerPiece) {
        const piece = told[kind].slice(at, at + idsPerPiece);
        if (ids + piece.length > idsPerPart) {
          part = {};
          ids = 0;
          parts.push(part);
        }
        (part[group] ??= noEdges())[kind].push(...piece);
        ids += piece.length;
      }
  return parts;
};
