import { parseArgs } from "node:util";
import { describe, expect, it } from "vitest";
import { z } from "zod";
import { oneLine, optionsOf, whole } from "../../src/local/command-line.ts";
import { StackFault } from "../../src/local/stack/fault.ts";

const usage = "program -- [options]";
const Options = z.object({ users: whole(1, 10), seed: whole(0, 10) });
const given = (...args: string[]) =>
  optionsOf(
    Options,
    () =>
      parseArgs({ args, options: { users: { type: "string", default: "5" }, seed: { type: "string", default: "1" } } })
        .values,
    usage,
  );

describe("options", () => {
  it("are values of their own kind", () => {
    expect(given("--users", "7")).toEqual({ users: 7, seed: 1 });
  });

  it.each([
    [["--user", "7"], /--user\b/],
    [["--users", "11", "--seed", "one"], /^--users, --seed: /],
    [["--users", "1.5"], /^--users: /],
  ])("%s are refused by name, above how the program is used", (args, named) => {
    expect(() => given(...args)).toThrow(StackFault);
    expect(() => given(...args)).toThrow(named);
    expect(() => given(...args)).toThrow(usage);
  });
});

it("a fault is told in one line, and whole where somebody can put it right", () => {
  expect(oneLine(new Error("it is broken\n    at a line\n    of ours"))).toBe("it is broken");
  expect(oneLine(new StackFault("put it right\nlike this"))).toBe("put it right\nlike this");
});
