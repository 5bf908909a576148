import { expect, test } from "vitest";
import { compileRoute } from "../../src/local/host/routes.ts";

test.each([
  ["", "/", {}],
  ["api/v1/People", "/API/v1/people/", {}],
  ["api/v1/people", "/api/v1/people/x", undefined],
  ["api/v1/people", "/api/v1", undefined],
  ["people/{id}", "/people/a%20b", { id: "a b" }],
  ["people/{id}", "/people/a%2Fb", { id: "a%2Fb" }],
  ["people/{id}", "/people/", undefined],
  ["people/{id}", "/people//x", undefined],
  ["people/{id?}", "/people", {}],
  ["people/{id:int}", "/people/-12", { id: "-12" }],
  ["people/{id:int}", "/people/12x", undefined],
  ["people/{id:int}", "/people/2147483648", undefined],
  ["people/{id:long}", "/people/2147483648", { id: "2147483648" }],
  ["people/{id:guid}", "/people/0f8fad5b-d9cb-469f-a165-70867728950e", { id: "0f8fad5b-d9cb-469f-a165-70867728950e" }],
  ["people/{id:guid}", "/people/0f8fad5b", undefined],
  ["people/{id:length(2,3):alpha}", "/people/abc", { id: "abc" }],
  ["people/{id:length(2,3):alpha}", "/people/abcd", undefined],
  ["people/{id:range(1,9)}", "/people/10", undefined],
  ["people/{id:regex(^a/?b$)}", "/people/AB", { id: "AB" }],
  ["files/{name}.{kind}", "/files/a.b.txt", { name: "a.b", kind: "txt" }],
  ["files/{*path}", "/files/a/b%20c", { path: "a/b c" }],
  ["files/{*path}", "/files", { path: "" }],
])("%s and %s", (template, path, expected) => {
  expect(compileRoute(template)(path)).toEqual(expected);
});

test.each(["people/{id=7}", "people/{id:unheard}", "{open?}/people", "{*all}/people"])("refuses %s", (template) => {
  expect(() => compileRoute(template)).toThrow();
});
