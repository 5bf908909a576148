import { expect, test } from "vitest";
import type { ClientIpSource } from "../../src/config.ts";
import { clientIp } from "../../src/functions/edge/client-ip.ts";

const appService: ClientIpSource = { kind: "app-service" };
const frontDoor: ClientIpSource = { kind: "front-door", id: "11111111-2222-4333-8444-555555555555" };
const hops = (count: number): ClientIpSource => ({ kind: "hops", count });
const ours = { "x-azure-fdid": "11111111-2222-4333-8444-555555555555" };

test.each<[ClientIpSource, Record<string, string>, string]>([
  [appService, { "client-ip": "203.0.113.7:51234" }, "203.0.113.7"],
  [appService, { "client-ip": "203.0.113.7" }, "203.0.113.7"],
  [appService, { "client-ip": "[2001:DB8:0:0::1]:443" }, "2001:db8::1"],
  [appService, { "client-ip": "2001:db8::1" }, "2001:db8::1"],
  [appService, { "client-ip": "::ffff:203.0.113.7" }, "203.0.113.7"],
  [appService, { "client-ip": "[::ffff:cb00:7107]:80" }, "203.0.113.7"],
  [appService, { "client-ip": "203.0.113.7", "x-forwarded-for": "198.51.100.1" }, "203.0.113.7"],
  // The left part is the caller's own invention.
  [appService, { "x-forwarded-for": "198.51.100.1, 203.0.113.7:5000" }, "203.0.113.7"],
  // What the front end wrote is believed or nothing is: no falling back to a header that can be forged.
  [appService, { "client-ip": "garbage", "x-forwarded-for": "198.51.100.1" }, "unknown"],
  [appService, { "client-ip": "1.2.3.4, 5.6.7.8" }, "unknown"],
  [appService, { "client-ip": "127.1" }, "unknown"],
  [appService, { "client-ip": "0x7f.0.0.1" }, "unknown"],
  [appService, { "client-ip": "256.1.1.1" }, "unknown"],
  [appService, { "client-ip": "fe80::1%eth0" }, "unknown"],
  [appService, { "client-ip": "" }, "unknown"],
  [appService, {}, "unknown"],
  [frontDoor, { ...ours, "x-azure-socketip": "203.0.113.7" }, "203.0.113.7"],
  [frontDoor, { ...ours, "x-azure-clientip": "198.51.100.1" }, "unknown"],
  [frontDoor, { "x-azure-socketip": "198.51.100.1" }, "unknown"],
  [
    frontDoor,
    { "x-azure-fdid": "99999999-2222-4333-8444-555555555555", "x-azure-socketip": "198.51.100.1" },
    "unknown",
  ],
  [frontDoor, { "client-ip": "198.51.100.1" }, "unknown"],
  [hops(1), { "x-forwarded-for": "198.51.100.1, 203.0.113.7" }, "203.0.113.7"],
  [hops(2), { "x-forwarded-for": "198.51.100.1, 203.0.113.7, 10.0.0.1:80" }, "203.0.113.7"],
  [hops(3), { "x-forwarded-for": "203.0.113.7, 10.0.0.1" }, "unknown"],
  [hops(1), { "client-ip": "198.51.100.1" }, "unknown"],
])("the caller's address: %o, %o -> %s", (source, headers, expected) => {
  expect(clientIp(source, new Headers(headers))).toBe(expected);
});
