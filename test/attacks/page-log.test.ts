import { HttpRequest, InvocationContext } from "@azure/functions";
import { expect, test } from "vitest";
import { AppError } from "../../src/core/errors.ts";
import { connectPage } from "../../src/functions/connect.http.ts";

const personal = "ada@contoso.example";
const library = `Unexpected answer:\n    at ${personal} (the whole text)\n${personal}`;

test.each<[string, Error]>([
  ["of a library", new TypeError(library)],
  ["of ours, with a library's behind it", new AppError("store-unavailable", { cause: new Error(library) })],
])("an error %s whose text looks like a stack tells the log no text, in one line of JSON", async (_, failure) => {
  const logged: string[] = [];
  const fail = () => Promise.reject(failure);
  const page = connectPage(() => ({ showConnect: fail, continueConnect: fail }));
  const request = new HttpRequest({ method: "GET", url: "https://sync.example/connect/t", params: { ticket: "t" } });
  const context = new InvocationContext({ logHandler: (_level, ...parts) => void logged.push(parts.join(" ")) });
  const answer = await page(request, context);
  expect(logged).toHaveLength(1);
  expect(JSON.parse(logged[0] ?? "")).toMatchObject({ event: "connect" });
  expect(logged[0]).toContain("page-log.test.ts");
  expect(logged.join() + JSON.stringify(answer)).not.toContain(personal);
});
