import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { createServer as createTcpServer } from "node:net";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { httpsSender } from "../../src/adapters/webhooks/https-sender.ts";
import { isPublicAddress } from "../../src/adapters/webhooks/public-address.ts";
import { type Receiver, startReceiver } from "../support/webhook-receiver.ts";

let receiver: Receiver;
beforeAll(async () => {
  receiver = await startReceiver();
});
beforeEach(() => {
  receiver.received.length = 0;
  receiver.answer = () => 204;
});
afterAll(() => receiver.close());

const headers = { "content-type": "application/json", "webhook-id": "m-1" };
const nearby = httpsSender({ allowLoopback: true });
/** As in Azure, with a resolver that says what a test wants. */
const strictly = (...addresses: string[]) => {
  const asked: string[] = [];
  const sender = httpsSender({
    allowLoopback: false,
    resolve: async (hostname) => {
      asked.push(hostname);
      return addresses.map((address) => ({ address, family: address.includes(":") ? 6 : 4 }));
    },
  });
  return { asked, send: (url: string) => sender.send(url, headers, "{}") };
};

describe("an address", () => {
  test.each(["8.8.8.8", "20.50.2.1", "2606:4700::1111", "2a00:1450::1", "::ffff:8.8.8.8"])("%s is public", (address) =>
    expect(isPublicAddress(address)).toBe(true),
  );

  test.each([
    ["this machine", "127.0.0.1"],
    ["this machine", "127.9.9.9"],
    ["this machine", "::1"],
    ["this machine, mapped", "::ffff:127.0.0.1"],
    ["nothing", "0.0.0.0"],
    ["nothing", "::"],
    ["a private network", "10.1.2.3"],
    ["a private network", "172.16.0.1"],
    ["a private network", "192.168.1.1"],
    ["a private network, mapped", "::ffff:10.1.2.3"],
    ["a private network, in an IPv6 address", "::10.1.2.3"],
    ["a private network", "fd00::1"],
    ["the metadata of a cloud machine", "169.254.169.254"],
    ["the metadata of a cloud machine, mapped", "::ffff:a9fe:a9fe"],
    ["a link", "fe80::1"],
    ["a site", "fec0::1"],
    ["Azure's platform", "168.63.129.16"],
    ["Azure's platform, mapped", "::ffff:168.63.129.16"],
    ["a provider's network", "100.64.0.1"],
    ["IPv4 through a translator", "64:ff9b::a01:203"],
    ["IPv4 through a local translator", "64:ff9b:1::a01:203"],
    ["IPv4 through a tunnel", "2002:a01:203::1"],
    ["IPv4 through a tunnel", "2001:0:a01:203::1"],
    ["a benchmark", "198.18.0.1"],
    ["an example", "203.0.113.1"],
    ["an example", "2001:db8::1"],
    ["many", "224.0.0.1"],
    ["many", "ff02::1"],
    ["everybody", "255.255.255.255"],
    ["the future", "240.0.0.1"],
    ["the future", "4000::1"],
    ["no address", "localhost"],
    ["no address", ""],
  ])("of %s is not: %s", (_, address) => expect(isPublicAddress(address)).toBe(false));
});

describe("a request", () => {
  test("arrives with its headers and body, and only the status of the answer comes back", async () => {
    receiver.answer = () => 202;
    const answer = await nearby.send(receiver.url, headers, '{"ä":1}');
    expect(answer).toEqual({ status: 202, failure: null, milliseconds: expect.any(Number) });
    expect(receiver.received).toMatchObject([
      {
        path: "/hooks",
        body: '{"ä":1}',
        serverName: "localhost",
        headers: { "webhook-id": "m-1", connection: "close" },
      },
    ]);
  });

  test("goes to an address that was looked at, under the name that was meant", async () => {
    const asked: string[] = [];
    // The second answer would be another one: nobody asks for it.
    const answers = ["127.0.0.1", "10.0.0.1"];
    const sender = httpsSender({
      allowLoopback: true,
      resolve: async (hostname) => {
        asked.push(hostname);
        return [{ address: answers.shift() ?? "", family: 4 }];
      },
    });
    expect(await sender.send(receiver.url, headers, "{}")).toMatchObject({ status: 204 });
    expect(asked).toEqual(["localhost"]);
    expect(receiver.received[0]?.serverName).toBe("localhost");
  });

  test("follows no redirect", async () => {
    receiver.answer = () => ({ status: 307, location: receiver.url.replace("/hooks", "/elsewhere") });
    expect(await nearby.send(receiver.url, headers, "{}")).toMatchObject({ status: 307, failure: null });
    expect(receiver.received.map(({ path }) => path)).toEqual(["/hooks"]);
  });

  test("reaches nobody whose certificate is not trusted", async () => {
    const stranger = await startReceiver({ isTrusted: false });
    expect(await nearby.send(stranger.url, headers, "{}")).toMatchObject({ status: null, failure: "unreachable" });
    expect(stranger.received).toEqual([]);
    await stranger.close();
  });

  test("ends when nothing answers, and when an answer has no end", async () => {
    const silent = createTcpServer(() => undefined);
    await new Promise<void>((resolve) => silent.listen(0, "127.0.0.1", resolve));
    const hasty = httpsSender({ allowLoopback: true, timeoutMilliseconds: 50 });
    const url = `https://localhost:${(silent.address() as AddressInfo).port}/`;
    expect(await hasty.send(url, headers, "{}")).toMatchObject({ status: null, failure: "timeout" });
    silent.close();

    const endless = createServer((_request, response) => void response.writeHead(200).write("x".repeat(100_000)));
    await new Promise<void>((resolve) => endless.listen(0, "127.0.0.1", resolve));
    const plain = `http://localhost:${(endless.address() as AddressInfo).port}/`;
    expect(await nearby.send(plain, headers, "{}")).toMatchObject({ status: 200 });
    await new Promise<void>((resolve) => {
      endless.close(() => resolve());
    });
  });

  test("that nobody listens to is unreachable, and so is a name that does not exist", async () => {
    expect(await nearby.send("https://localhost:9/", headers, "{}")).toMatchObject({ failure: "unreachable" });
    const lost = httpsSender({ allowLoopback: false, resolve: () => Promise.reject(new Error("ENOTFOUND")) });
    expect(await lost.send("https://hooks.product.example/", headers, "{}")).toMatchObject({ failure: "unreachable" });
  });
});

describe("without local services", () => {
  const port = () => new URL(receiver.url).port;

  test.each([["127.0.0.1"], ["169.254.169.254"], ["10.0.0.1"], ["::1"], ["::ffff:127.0.0.1"], ["64:ff9b::7f00:1"]])(
    "a name that leads to %s is refused, and nobody is called",
    async (address) => {
      const { send, asked } = strictly(address);
      expect(await send(receiver.url)).toMatchObject({ status: null, failure: "address-refused" });
      expect(asked).toEqual(["localhost"]);
      expect(receiver.received).toEqual([]);
    },
  );

  test("one address that is not public spoils a name", async () => {
    const { send } = strictly("8.8.8.8", "127.0.0.1");
    expect(await send(receiver.url)).toMatchObject({ failure: "address-refused" });
    expect(await strictly().send(receiver.url)).toMatchObject({ failure: "address-refused" });
  });

  test.each(["127.0.0.1", "2130706433", "0x7f.1", "[::1]", "[::ffff:127.0.0.1]"])(
    "an address in place of a name is looked at too: %s",
    async (host) => {
      const { send, asked } = strictly("8.8.8.8");
      expect(await send(`https://${host}:${port()}/hooks`)).toMatchObject({ failure: "address-refused" });
      expect(asked).toEqual([]);
      expect(receiver.received).toEqual([]);
    },
  );

  test("nothing is sent in clear", async () => {
    const { send, asked } = strictly("8.8.8.8");
    expect(await send("http://hooks.product.example/")).toMatchObject({ failure: "address-refused" });
    expect(asked).toEqual([]);
  });
});
