/**
 * A group's members live in shards `m:<group>:<bits>` of at most 1,000 person ids, split by the first bits of the id. The group
 * document lists the prefixes ("leaves"); they cover every id exactly once. A leaf without a document has no members.
 * Everything here is pure.
 */
export const maxShardMembers = 1000;

/** The id's first bits as a text of 0 and 1. */
const bitsOf = (personId: string, count: number): string => {
  const bytes = Buffer.from(personId, "base64url");
  let bits = "";
  for (let index = 0; index < count; index++) bits += ((bytes[index >> 3] ?? 0) >> (7 - (index & 7))) & 1;
  return bits;
};

/** Ids by the leaf they belong to; leaves in order, untouched ones left out. */
export const byLeaf = (leaves: readonly string[], personIds: readonly string[]): Map<string, string[]> => {
  const depth = Math.max(0, ...leaves.map((leaf) => leaf.length));
  const known = new Set(leaves);
  const groups = new Map<string, string[]>();
  for (const id of personIds) {
    const bits = bitsOf(id, depth);
    let leaf = "";
    while (!known.has(leaf) && leaf.length < depth) leaf = bits.slice(0, leaf.length + 1);
    const list = groups.get(leaf);
    if (list) list.push(id);
    else groups.set(leaf, [id]);
  }
  return new Map([...groups].toSorted(([a], [b]) => (a < b ? -1 : 1)));
};

/** `members` as leaves below `bits`, none above the limit. One entry = no split. Empty halves are leaves too. */
export const split = (bits: string, members: readonly string[]): Map<string, string[]> => {
  if (members.length <= maxShardMembers) return new Map([[bits, [...members].toSorted()]]);
  const halves: [string[], string[]] = [[], []];
  for (const id of members) halves[bitsOf(id, bits.length + 1).endsWith("1") ? 1 : 0].push(id);
  return new Map([...split(`${bits}0`, halves[0]), ...split(`${bits}1`, halves[1])]);
};

/** Order in which a large list of ids touches few leaves at a time: by their bits. */
export const sortByBits = (personIds: string[]): string[] =>
  personIds
    .map((id) => ({ id, bytes: Buffer.from(id, "base64url") }))
    .toSorted((a, b) => Buffer.compare(a.bytes, b.bytes))
    .map(({ id }) => id);
