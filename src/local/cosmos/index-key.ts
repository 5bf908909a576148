/**
 * One text per JSON value whose binary order is the order of the service:
 * undefined (SQL NULL) < null < booleans < numbers < strings < arrays < objects.
 * Arrays and objects are only known to be there: a scalar index (`/path/?`) does not look inside them.
 */
export type Scalar = string | number | boolean | null;

export const typeTag = { null: "a", boolean: "b", number: "c", string: "d", array: "e", object: "f" } as const;

export const indexKey = (value: unknown): string | null => {
  switch (typeof value) {
    case "undefined":
      return null;
    case "boolean":
      return value ? "b1" : "b0";
    case "number":
      return typeTag.number + sortableNumber(value);
    case "string":
      return typeTag.string + value;
    default:
      if (value === null) return typeTag.null;
      return Array.isArray(value) ? typeTag.array : typeTag.object;
  }
};

export const scalarOfKey = (key: string): Scalar => {
  const text = key.slice(1);
  switch (key[0]) {
    case typeTag.boolean:
      return text === "1";
    case typeTag.number:
      return numberOf(text);
    case typeTag.string:
      return text;
    default:
      return null;
  }
};

/** Same type: the two bounds between which all keys of the type of `key` lie, the upper one excluded. */
export const typeBounds = (key: string): { from: string; below: string } => {
  const tag = key.charAt(0);
  return { from: tag, below: String.fromCharCode(tag.charCodeAt(0) + 1) };
};

/** The least text above every text that starts with `prefix` (U+10FFFF is no character). */
export const abovePrefix = (prefix: string): string => `${prefix}\u{10ffff}`;

/** Binary order of UTF-8, as SQLite compares; UTF-16 order differs from it above U+FFFF. */
export const compareKeys = (left: string, right: string): number =>
  Buffer.compare(Buffer.from(left), Buffer.from(right));

const scratch = Buffer.alloc(8);

/** IEEE 754 made sortable as text: the sign bit flipped for positive numbers, every bit for negative ones. */
const sortableNumber = (value: number): string => {
  scratch.writeDoubleBE(value === 0 ? 0 : value);
  const negative = scratch.readUInt8(0) >= 0x80;
  for (let at = 0; at < 8; at++) {
    const byte = scratch.readUInt8(at);
    scratch.writeUInt8(negative ? 0xff - byte : at === 0 ? byte + 0x80 : byte, at);
  }
  return scratch.toString("hex");
};

const numberOf = (sortable: string): number => {
  const bytes = Buffer.from(sortable, "hex");
  const negative = bytes.readUInt8(0) < 0x80;
  for (let at = 0; at < 8; at++) {
    const byte = bytes.readUInt8(at);
    bytes.writeUInt8(negative ? 0xff - byte : at === 0 ? byte - 0x80 : byte, at);
  }
  return bytes.readDoubleBE(0);
};
