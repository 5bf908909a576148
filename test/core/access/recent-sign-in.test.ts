import { expect, test } from "vitest";
import { requireRecentSignIn, StepUp } from "../../../src/core/access/recent-sign-in.ts";
import { isAppError } from "../../../src/core/errors.ts";

const now = Date.parse("2026-11-22T12:00:00Z");
const verdict = (rule: object, secondsAgo?: number): string => {
  try {
    const signedIn = secondsAgo === undefined ? {} : { signedInAt: now - secondsAgo * 1000 };
    requireRecentSignIn(signedIn, StepUp.parse(rule), now);
    return "passes";
  } catch (error) {
    return isAppError(error) ? `${error.code} ${error.details.maxAgeSeconds}` : "fails";
  }
};

test.each<[object, number | undefined, string]>([
  [{}, 600, "passes"],
  [{}, 601, "sign-in-not-recent 600"],
  [{}, undefined, "passes"],
  [{ minutes: 1 }, 60, "passes"],
  [{ minutes: 1 }, 61, "sign-in-not-recent 60"],
  [{ required: true }, undefined, "sign-in-not-recent 600"],
  [{ required: true }, 5, "passes"],
  [{}, -300, "passes"],
  [{}, -301, "sign-in-not-recent 600"],
  // Milliseconds where seconds were to stand.
  [{}, -now, "sign-in-not-recent 600"],
])("under %j a sign-in of %s seconds ago: %s", (rule, secondsAgo, expected) => {
  expect(verdict(rule, secondsAgo)).toBe(expected);
});

test.each([{ minutes: 0 }, { minutes: 2000 }, { minutes: "10" }, { required: "yes" }, { minute: 5 }])(
  "the setting takes no %j",
  (setting) => {
    expect(StepUp.safeParse(setting).success).toBe(false);
  },
);
