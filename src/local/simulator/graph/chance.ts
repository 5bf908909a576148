/**
 * Seeded chance without state: the same words always give the same number, so a page that is fetched again after a crash,
 * even by a simulator that was started again, is put together in the same way.
 */
export const chance = (...words: (string | number)[]): number => {
  let high = 0x9e3779b9;
  let low = 0x811c9dc5;
  for (const word of words) {
    const text = `${word}\u0000`;
    for (let at = 0; at < text.length; at++) {
      low = Math.imul(low ^ text.charCodeAt(at), 0x01000193);
      high = Math.imul(high ^ text.charCodeAt(at), 0x85ebca6b) + low;
    }
  }
  return (stir(high ^ (low >>> 15)) * 0x200000 + (stir(low ^ high) >>> 11)) / 2 ** 53;
};

/** A whole number with `from <= n <= to`. */
export const chanceBetween = (from: number, to: number, ...words: (string | number)[]): number =>
  from + Math.floor(chance(...words) * (to - from + 1));

/** Text in the shape of an object id that belongs to nobody. */
export const strangerId = (...words: (string | number)[]): string => {
  const digits = (count: number, label: string) =>
    Math.floor(chance(label, ...words) * 16 ** count)
      .toString(16)
      .padStart(count, "0");
  return `${digits(8, "a")}-${digits(4, "b")}-4${digits(3, "c")}-a${digits(3, "d")}-${digits(12, "e")}`;
};

/** The finalizer of MurmurHash3: spreads every input bit over the result; unsigned 32 bits. */
const stir = (value: number): number => {
  let mixed = value;
  mixed = Math.imul(mixed ^ (mixed >>> 16), 0x85ebca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
  return (mixed ^ (mixed >>> 16)) >>> 0;
};
