/** Comma-separated values as RFC 4180 has them, in a form that a spreadsheet shows and does not carry out. */

/** What a spreadsheet may take for a formula, also behind quotes and blanks, and in the wide forms of East Asian input. */
const mayBeFormula = /^["'\s]*[=+\-@＝＋－＠]|^[\t\r\n]/;

export const csvRow = (cells: readonly (string | number | null)[]): string => `${cells.map(cellOf).join(",")}\r\n`;

const cellOf = (value: string | number | null): string => {
  const text = value === null ? "" : String(value);
  const harmless = typeof value === "string" && mayBeFormula.test(text) ? `'${text}` : text;
  return `"${harmless.replaceAll('"', '""')}"`;
};
