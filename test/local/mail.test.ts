import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createTransport } from "nodemailer";
import { afterEach, describe, expect, test } from "vitest";
import { type MailCatcher, startMailCatcher } from "../../src/local/mail/catcher.ts";

const opened: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const close of opened.splice(0)) await close();
});
const start = async (options: Parameters<typeof startMailCatcher>[0] = {}): Promise<MailCatcher> => {
  const catcher = await startMailCatcher(options);
  opened.push(() => catcher.close());
  return catcher;
};
const mail = {
  from: "Sync <sync@vendor.example>",
  to: ["Zoë <zoe@fabrikam.example>", "it@fabrikam.example"],
  bcc: "hidden@vendor.example",
  subject: "Your connection needs attention - Größe",
  text: "Grüße\n.\nend",
  html: "<p>Grüße</p>",
};

describe("the mail catcher", () => {
  test("keeps what nodemailer sent, with the envelope apart from the header", async () => {
    const catcher = await start();
    await createTransport(catcher.smtpUrl).sendMail(mail);
    const [caught, ...more] = catcher.messages();
    expect(more).toEqual([]);
    expect(caught).toMatchObject({
      envelope: {
        from: "sync@vendor.example",
        to: ["zoe@fabrikam.example", "it@fabrikam.example", "hidden@vendor.example"],
      },
      from: "sync@vendor.example",
      to: ["zoe@fabrikam.example", "it@fabrikam.example"],
      subject: mail.subject,
      headers: { "mime-version": "1.0" },
    });
    expect(caught?.text).toContain("Grüße\n.\nend");
    expect(caught?.html).toContain("<p>Grüße</p>");
    catcher.clear();
    expect(catcher.messages()).toEqual([]);
  });

  test("refuses for the moment when told to, and takes the next attempt", async () => {
    const catcher = await start();
    catcher.refuseNext(1);
    await expect(createTransport(catcher.smtpUrl).sendMail(mail)).rejects.toMatchObject({ responseCode: 451 });
    expect(catcher.messages()).toEqual([]);
    await createTransport(catcher.smtpUrl).sendMail(mail);
    expect(catcher.messages()).toHaveLength(1);
  });

  test("writes each mail to its folder", async () => {
    const dir = mkdtempSync(join(tmpdir(), "mail-"));
    opened.push(() => rmSync(dir, { recursive: true }));
    const catcher = await start({ dir, now: () => 1_700_000_000_000 });
    await createTransport(catcher.smtpUrl).sendMail(mail);
    await createTransport(catcher.smtpUrl).sendMail(mail);
    const files = readdirSync(dir);
    expect(files).toEqual(["1700000000000-0001.eml", "1700000000000-0002.eml"]);
    expect(readFileSync(join(dir, files[0] ?? ""), "utf8")).toBe(catcher.messages()[0]?.raw);
  });
});
