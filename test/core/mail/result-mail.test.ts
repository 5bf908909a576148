/** The mail of a dry run: what it says, and that foreign text in it does nothing. */
import { describe, expect, test } from "vitest";
import { noCounts } from "../../../src/core/directory/run/round.ts";
import { recipientOf } from "../../../src/core/mail/recipient.ts";
import { type ResultOf, resultMail } from "../../../src/core/mail/result-mail.ts";

const result = (groups: string[], changes: Partial<ResultOf> = {}): ResultOf => ({
  connectionName: "Head office",
  run: {
    counts: { ...noCounts(), peopleRead: 12_345, peopleCreated: 1200, groupsCreated: groups.length, skipped: 3 },
    warnings: [
      { code: "person-not-readable", object: "a-person-id" },
      { code: "person-not-readable", object: "another-person-id" },
      { code: "not<known>yet" },
    ],
    guard: [{ kind: "people", planned: 40, recent: 2, limit: 20 }],
    planHash: "ab".repeat(32),
    startedAt: "2026-01-31T14:05:59.123Z",
    endedAt: "2026-01-31T14:07:00.000Z",
  },
  groups: { created: groups, updated: [], removed: [] },
  productUrl: "https://app.product.example/integrations",
  ...changes,
});

test("tells numbers, groups by name, warnings in words, the plan and when, of which connection", () => {
  const { text, html } = resultMail(result(["Sales", "Marketing"]));
  for (const part of [text, html])
    for (const words of [
      "Head office",
      "12,345",
      "1,200",
      "Sales",
      "Marketing",
      "ab".repeat(32),
      "2026-01-31 14:05 UTC",
      "2026-01-31 14:07 UTC",
      "People that Microsoft 365 would not show were set aside. (2)",
      "Objects were set aside (notknownyet). (1)",
      "40 people would be taken away, after 2 in the last days; more than 20 wait for approval.",
      "https://app.product.example/integrations",
    ])
      expect(part).toContain(words);
  expect(text).not.toContain("person-id");
  expect(html).not.toContain("person-id");
});

test("names so many groups and counts the rest", () => {
  const { counts } = result([]).run;
  const mail = resultMail(
    result(["Sales"], { run: { ...result([]).run, counts: { ...counts, groupsCreated: 4001 } } }),
  );
  expect(mail.text).toContain("  - Sales\n  - and 4,000 more");
});

describe("text of a directory", () => {
  test.each([
    ["<script>alert(1)</script>", "&lt;script&gt;alert(1)&lt;/script&gt;"],
    ['"><img src=x onerror=alert(1)>', "&quot;&gt;&lt;img src=x onerror=alert(1)&gt;"],
    ["' onclick='x", "&#39; onclick=&#39;x"],
    ["&lt;b&gt; &amp;", "&amp;lt;b&amp;gt; &amp;amp;"],
    ["Pay <a href=https://evil.example/x?y=1>here</a>", "Pay &lt;a href=[address left out]"],
    ["Sales\r\nBcc: victim@evil.example", "Sales Bcc: victim@evil. example"],
    ["Sales\u2028\u0000next", "Sales next"],
    ["go to www.evil.example/now today", "go to [address left out] today"],
    ["//evil.example", "[address left out]"],
    ["\\\\evil\\share", "[address left out]"],
    ["javascript:alert(1) JAVASCRIPT:alert(2)", "[address left out] [address left out]"],
    ["mailto:a@evil.example", "[address left out]"],
    ["evil.example/login", "evil. example/login"],
    ["dl.sales.emea", "dl. sales. emea"],
    ["evil\u3002example", "evil. example"],
    ["abc\u202egnp.exe", "abc\ufffdgnp. exe"],
    ["Größe 営業 👩‍💻", "Größe 営業 👩‍💻"],
    ["", "(without a name)"],
    ["x".repeat(500), `${"x".repeat(119)}…`],
  ])("%j does nothing in the mail", (name, shown) => {
    const mail = resultMail(result([name]));
    expect(mail.html).toContain(`<li>${shown}</li>`);
    const plain = shown
      .replaceAll("&lt;", "<")
      .replaceAll("&gt;", ">")
      .replaceAll("&quot;", '"')
      .replaceAll("&#39;", "'")
      .replaceAll("&amp;", "&");
    expect(mail.text.split("\n")).toContain(`  - ${plain}`);
    expect(mail.subject).toBe(resultMail(result([])).subject);
  });

  test("of a connection's name neither", () => {
    const mail = resultMail(result([], { connectionName: "<b>Win</b>\r\nhttps://evil.example" }));
    expect(mail.html).toContain("<td>&lt;b&gt;Win&lt;/b&gt; [address left out]</td>");
    expect(mail.text).toContain("Connection: <b>Win</b> [address left out]\n");
    expect(mail.subject).toBe(resultMail(result([])).subject);
  });
});

describe("the recipient", () => {
  const own = ["fabrikam.example", "fabrikam.onmicrosoft.com"];
  const who = (mail: string | null, userPrincipalName: string | null = null, enabled = true) => ({
    mail,
    userPrincipalName,
    enabled,
  });
  test.each([
    [who("ada@fabrikam.example", "a@fabrikam.onmicrosoft.com"), { address: "ada@fabrikam.example" }],
    [who("Ada@Fabrikam.Example"), { address: "Ada@Fabrikam.Example" }],
    [who(null, "ada@fabrikam.onmicrosoft.com"), { address: "ada@fabrikam.onmicrosoft.com" }],
    [who(" ", "ada@fabrikam.example"), { address: "ada@fabrikam.example" }],
    [who("ada@elsewhere.example", "ada@fabrikam.example"), { refusal: "foreign-domain" }],
    [who("ada@sub.fabrikam.example"), { refusal: "foreign-domain" }],
    [who("ada@evilfabrikam.example"), { refusal: "foreign-domain" }],
    [who("ada@fabrikam.example, eve@evil.example"), { refusal: "no-address" }],
    [who("ada@evil.example@fabrikam.example"), { refusal: "no-address" }],
    [who("ada@fabrikam.example\r\nBcc: eve@evil.example"), { refusal: "no-address" }],
    [who('"x y"@fabrikam.example'), { refusal: "no-address" }],
    [who("eve@evil.example>,<ada@fabrikam.example"), { refusal: "no-address" }],
    [who(null), { refusal: "no-address" }],
    [who("ada@fabrikam.example", null, false), { refusal: "administrator-unknown" }],
    [null, { refusal: "administrator-unknown" }],
  ])("of %j is %j", (administrator, expected) => {
    expect(recipientOf(administrator, own)).toEqual(expected);
  });
});
