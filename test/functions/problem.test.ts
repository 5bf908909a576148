import { expect, test } from "vitest";
import { AppError, type ProblemCode, problems } from "../../src/core/errors.ts";
import { UnknownOutcome } from "../../src/core/store/ports.ts";
import { asAppError, logProblem, problemAnswer, statuses } from "../../src/functions/edge/problem.ts";

const codes = Object.keys(problems) as ProblemCode[];

test.each(codes)("%s is a problem of RFC 9457", (code) => {
  const detail = "said for developers";
  const { status, headers, jsonBody } = problemAnswer(new AppError(code, { detail, field: "a.b" }), "c-1", "/x");
  expect(headers["content-type"]).toBe("application/problem+json");
  expect(headers["x-correlation-id"]).toBe("c-1");
  expect(status).toBe(statuses[problems[code].kind]);
  expect(jsonBody).toMatchObject({
    type: `urn:m365-sync:problem:${code}`,
    title: problems[code].title,
    status,
    code,
    field: "a.b",
    retryable: status === 429 || status === 503,
    correlationId: "c-1",
  });
  // What an installation lacks, or a service said, is not for callers.
  expect(JSON.stringify(jsonBody).includes(detail)).toBe(status < 500);
});

test("a wait is told in whole seconds, at least one", () => {
  const waitOf = (retryAfterSeconds: number) =>
    problemAnswer(new AppError("graph-throttled", { retryAfterSeconds }), "c", "/x").headers["retry-after"];
  expect([waitOf(2.1), waitOf(0)]).toEqual(["3", "1"]);
});

test("a feed that no longer reaches back points to the snapshot", () => {
  const { jsonBody } = problemAnswer(new AppError("feed-too-old"), "c", "/api/v1/connections/k/changes");
  expect(jsonBody).toMatchObject({ status: 410, snapshot: "/api/v1/connections/k/snapshot" });
});

test("what is not ours is `unexpected`, an unknown outcome can be tried again", () => {
  expect(asAppError(new TypeError("x")).code).toBe("unexpected");
  expect(asAppError("text").code).toBe("unexpected");
  expect(asAppError(new UnknownOutcome(new Error("reset"))).code).toBe("store-unavailable");
});

test("the log gets code, kind and frames, and no message of a foreign error", () => {
  const lines: string[] = [];
  const log = {
    info: (line: string) => void lines.push(`info ${line}`),
    warn: (line: string) => void lines.push(`warn ${line}`),
    error: (line: string) => void lines.push(`error ${line}`),
  };
  const foreign = new Error("ada@contoso.example\n    at secret", { cause: new Error("Bearer eyJ") });
  logProblem(log, "request-failed", asAppError(foreign), { correlationId: "c-1" });
  logProblem(log, "request-failed", new AppError("store-unavailable", { cause: foreign }), {});
  logProblem(log, "request-failed", new AppError("invalid-request", { field: "ada@contoso.example" }), {});
  expect(lines.map((line) => line.split(" ")[0])).toEqual(["error", "warn", "info"]);
  expect(lines[0]).toContain('"code":"unexpected","kind":"internal","correlationId":"c-1"');
  expect(lines[0]).toContain("problem.test.ts");
  expect(lines.join("\n")).not.toMatch(/contoso|eyJ|secret/);
});
