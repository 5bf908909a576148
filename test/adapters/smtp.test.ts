/** What the answers of a mail server mean for a mail; spoken over real sockets. */
import { createServer, type Server } from "node:net";
import { afterEach, expect, test } from "vitest";
import { smtpServer } from "../../src/adapters/mail/smtp.ts";
import { startMailCatcher } from "../../src/local/mail/catcher.ts";

const opened: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of opened.splice(0)) await close();
});

const mail = {
  to: "ada@fabrikam.example",
  subject: "Result",
  text: "Grüße\n.\nend",
  html: "<p>Grüße</p>",
  id: "01m802z3fzwrqg1z7tk91w8n98",
};

/** Answers each command with what `says` gives for its verb; `hang-up` ends the connection. */
const scripted = async (says: Readonly<Record<string, string>>): Promise<string> => {
  const server: Server = createServer((socket) => {
    let inData = false;
    socket.on("error", () => {});
    socket.write(`${says.greeting ?? "220 here"}\r\n`);
    socket.on("data", (chunk) => {
      for (const line of chunk.toString().split("\r\n").filter(Boolean)) {
        if (inData && line !== ".") continue;
        const verb = inData ? "message" : (line.split(/[ :]/)[0] ?? "").toUpperCase();
        inData = verb === "DATA" && !says.DATA;
        const answer = says[verb] ?? (inData ? "354 go on" : verb === "QUIT" ? "221 bye" : "250 fine");
        if (answer === "hang-up") socket.destroy();
        else socket.write(`${answer}\r\n`);
      }
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  opened.push(() => new Promise((resolve) => server.close(() => resolve())));
  const address = server.address();
  return `smtp://127.0.0.1:${typeof address === "object" && address ? address.port : 0}`;
};

const send = (url: string, isLocal = true) => smtpServer({ url, from: "sync@vendor.example", isLocal }).send(mail);

test.each([
  ["taken", {}],
  ["unavailable", { greeting: "421 too busy" }],
  ["unavailable", { RCPT: "451 4.7.1 come again <ada@fabrikam.example>" }],
  ["refused", { RCPT: "550 no such user <ada@fabrikam.example>" }],
  ["refused", { MAIL: "553 not you" }],
  ["unavailable", { message: "452 disk full" }],
  ["refused", { message: "554 spam" }],
  // The mail may have been taken: the server had all of it.
  ["unanswered", { message: "hang-up" }],
] as const)("is %s when the server says %o", async (outcome, says) => {
  expect(await send(await scripted(says))).toBe(outcome);
});

test("is unavailable when nobody listens, and when a foreign server offers no TLS", async () => {
  expect(await send("smtp://127.0.0.1:1")).toBe("unavailable");
  expect(await send(await scripted({ STARTTLS: "502 not here" }), false)).toBe("unavailable");
});

test("comes as text and HTML, from the one address to the one address, and wants no automatic reply", async () => {
  const catcher = await startMailCatcher();
  opened.push(() => catcher.close());
  expect(await send(catcher.smtpUrl)).toBe("taken");
  expect(catcher.messages()).toMatchObject([
    {
      envelope: { from: "sync@vendor.example", to: ["ada@fabrikam.example"] },
      from: "sync@vendor.example",
      to: ["ada@fabrikam.example"],
      subject: "Result",
      headers: { "auto-submitted": "auto-generated", "message-id": `<${mail.id}@vendor.example>` },
    },
  ]);
});
