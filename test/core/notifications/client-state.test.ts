import { createHmac, randomBytes } from "node:crypto";
import { expect, test } from "vitest";
import {
  clientStateFor,
  feedOf,
  type NotificationKeys,
  notificationKey,
  notificationKeys,
} from "../../../src/core/notifications/client-state.ts";
import { type Feed, feedKey, parseFeed } from "../../../src/core/notifications/feed.ts";

const newest = notificationKey(Buffer.alloc(32, 1));
const older = notificationKey(Buffer.alloc(32, 2));
const keys: NotificationKeys = [newest, older];
const users: Feed = {
  clientId: "5b0f7c1e-6a52-4c1d-9a3e-2f4d8e6b7a90",
  tenantId: "11111111-2222-4333-8444-555555555555",
  resource: "users",
};
const groups: Feed = { ...users, resource: "groups" };
const others: Feed = { ...users, tenantId: "11111111-2222-4333-8444-555555555556" };

test("a state names its feed again, in no more than Graph keeps, and never changes", () => {
  for (const feed of [users, groups, others]) {
    const state = clientStateFor(keys, feed);
    expect(feedOf(keys, state)).toEqual(feed);
    expect(state).toMatch(/^[\w-]+\.[\w-]+\.[\w-]{43}$/);
    expect(state.length).toBeLessThanOrEqual(128);
  }
  // Subscriptions live for weeks: what was signed by an earlier release is still to be understood.
  expect(clientStateFor(keys, users)).toBe(
    "vnxGRQ.Ww98HmpSTB2aPi9Njmt6kBEREREiIkMzhERVVVVVVVUB.4rzImRhMsXEpRkRHHoiNAHxJlMrnmGEzEBr1tpzmBXE",
  );
});

test("an older key still verifies, and one that is no longer there does not", () => {
  const state = clientStateFor([older], users);
  expect(feedOf(keys, state)).toEqual(users);
  expect(clientStateFor(keys, users)).not.toBe(state);
  expect(feedOf([newest], state)).toBeNull();
});

test("not one character may be another one, be missing or be too much", () => {
  const state = clientStateFor(keys, users);
  for (let at = 0; at < state.length; at++) {
    const before = state.slice(0, at);
    const behind = state.slice(at + 1);
    // The last character of each part stands for fewer bits than it could: no second spelling is taken.
    for (const sign of ["A", "B", "-", ".", "=", " ", "é"])
      if (sign !== state[at]) expect(feedOf(keys, before + sign + behind)).toBeNull();
    expect(feedOf(keys, before + behind)).toBeNull();
  }
  for (const wrong of ["", ".", "..", `${state}.`, `${state}A`, `${state}=`, ` ${state}`, state.toUpperCase()])
    expect(feedOf(keys, wrong)).toBeNull();
});

test("the proof of one feed is none for another", () => {
  const [one = [], other = []] = [users, groups].map((feed) => clientStateFor(keys, feed).split("."));
  expect(feedOf(keys, [one[0], other[1], one[2]].join("."))).toBeNull();
  const underOlder = clientStateFor([older], users).split(".");
  expect(feedOf(keys, [one[0], one[1], underOlder[2]].join("."))).toBeNull();
  expect(feedOf(keys, [underOlder[0], one[1], one[2]].join("."))).toBeNull();
});

test("a resource that is not known is no feed, although it is signed", () => {
  const body = Buffer.concat([Buffer.alloc(32, 7), Buffer.of(9)]);
  const mac = createHmac("sha256", newest.secret).update("client-state\0").update(body).digest("base64url");
  expect(feedOf(keys, `${newest.id}.${body.toString("base64url")}.${mac}`)).toBeNull();
});

test("the name of a feed is read strictly", () => {
  expect(parseFeed(feedKey(groups))).toEqual(groups);
  const { clientId, tenantId } = users;
  for (const wrong of [
    "",
    `${clientId}:${tenantId}`,
    `${clientId}:${tenantId}:events`,
    `${clientId}:${tenantId}:users:`,
    `${clientId.toUpperCase()}:${tenantId}:users`,
    `${clientId}:common:users`,
  ])
    expect(parseFeed(wrong)).toBeNull();
});

const one = Buffer.alloc(32, 1).toString("base64url");
const two = Buffer.alloc(32, 2).toString("base64url");

test("one key, or two, newest first", () => {
  expect(notificationKeys.parse(one)).toEqual([newest]);
  expect(notificationKeys.parse(`${one}, ${two}`)).toEqual([newest, older]);
});

test.each([
  ["three", `${one},${two},${randomBytes(32).toString("base64url")}`],
  ["the same twice", `${one},${one}`],
  ["a short one", Buffer.alloc(31).toString("base64url")],
  ["a long one", Buffer.alloc(33).toString("base64url")],
  ["hexadecimal digits", Buffer.alloc(32, 1).toString("hex")],
  ["another spelling", `${one}=`],
  ["bits that are not there", `${one.slice(0, -1)}F`],
  ["an empty one", `${one},`],
])("%s is refused, and not told", (_, text) => {
  const parsed = notificationKeys.safeParse(text);
  expect(parsed.success).toBe(false);
  for (const part of text.split(",").filter((each) => each !== "")) expect(parsed.error?.message).not.toContain(part);
});
