import { expect, it } from "vitest";
import { csvRow } from "../../../src/core/audit/csv.ts";

it.each([
  ["plain", '"plain"'],
  ['says "so", twice', '"says ""so"", twice"'],
  ["two\r\nlines", '"two\r\nlines"'],
  ["", '""'],
  ["=1+1", `"'=1+1"`],
  ["+1", `"'+1"`],
  ["-1", `"'-1"`],
  ["@SUM(A1)", `"'@SUM(A1)"`],
  ["\t=1", `"'\t=1"`],
  ["\rx", `"'\rx"`],
  [' "=1', `"' ""=1"`],
  ["＝1", `"'＝1"`],
  ["a=1", '"a=1"'],
  ["o'neil", `"o'neil"`],
])("a cell %j is written as %j", (text, expected) => {
  expect(csvRow([text])).toBe(`${expected}\r\n`);
});

it("a row has numbers as they are, and nothing for null", () => {
  expect(csvRow([-7, null, "x"])).toBe('"-7","","x"\r\n');
});
