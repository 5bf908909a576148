import { expect, it } from "vitest";
import { loopGuard } from "../../src/adapters/graph/loop-guard.ts";

const page = (...objects: { id: string; members?: { id: string }[] }[]) => ({ objects, ends: false });
const names = Array.from({ length: 40 }, (_, number) => `id-${number}`);

it("takes the fifth page in a row that tells of the same objects under another link for a loop", () => {
  const guard = loopGuard();
  const check = (link: string) => guard.check("read", link, page({ id: "a" }, { id: "b" }));
  for (const link of ["1", "2", "3", "4"]) check(link);
  expect(() => check("5")).toThrow(expect.objectContaining({ code: "graph-unavailable" }));
});

it("takes the same link again, another read, and what ends for none", () => {
  const guard = loopGuard();
  for (const link of names) guard.check(link, link, page({ id: "a" }));
  for (const _again of names) guard.check("read", "1", page({ id: "a" }));
  for (const link of names) guard.check("read", link, { objects: [{ id: "a" }], ends: true });
});

it("lets a large group come in many pieces, each with other members, as many to a page as before", () => {
  const guard = loopGuard();
  for (const name of names)
    guard.check("read", name, page({ id: "group", members: [{ id: name }, { id: `${name}-2` }] }));
  for (const link of ["1", "2", "3", "4"]) guard.check("read", link, page({ id: "group", members: [{ id: "same" }] }));
  expect(() => guard.check("read", "5", page({ id: "group", members: [{ id: "same" }] }))).toThrow(
    "loop: 5 equal pages",
  );
});

it("lets pages that differ in any object pass, and empty ones for long", () => {
  const guard = loopGuard();
  for (const name of names) guard.check("read", name, page({ id: "first" }, { id: name }, { id: "last" }));
  for (const name of names) guard.check("read", name, page());
});
