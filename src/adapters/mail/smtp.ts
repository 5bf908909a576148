/**
 * Mails by SMTP, one connection each. Errors of the library quote what the server said, and servers quote addresses: nothing of
 * an error leaves this file but what it means for the mail.
 */
import { createTransport } from "nodemailer";
import type { MailOutcome, MailServer } from "../../core/mail/ports.ts";

export interface SmtpOptions {
  /** `smtps://user:password@host:port`; with `smtp:` TLS begins on the way. */
  url: string;
  /** Address of the sender. */
  from: string;
  /** On this very machine, where mails go in clear. */
  isLocal: boolean;
}

const connectMilliseconds = 15_000;
const silenceMilliseconds = 30_000;

export const smtpServer = ({ url, from, isLocal }: SmtpOptions): MailServer => {
  const { hostname, port, protocol, username, password } = new URL(url);
  const secure = protocol === "smtps:";
  const transport = createTransport({
    host: hostname.replaceAll(/^\[|\]$/g, ""),
    port: port === "" ? (secure ? 465 : 587) : Number(port),
    secure,
    requireTLS: !isLocal,
    ignoreTLS: isLocal,
    ...(username === "" ? {} : { auth: { user: decodeURIComponent(username), pass: decodeURIComponent(password) } }),
    connectionTimeout: connectMilliseconds,
    greetingTimeout: connectMilliseconds,
    dnsTimeout: connectMilliseconds,
    socketTimeout: silenceMilliseconds,
    disableFileAccess: true,
    disableUrlAccess: true,
  });
  return {
    send: async ({ to, subject, text, html, id }) => {
      try {
        await transport.sendMail({
          from: { name: "", address: from },
          to: { name: "", address: to },
          subject,
          text,
          html,
          messageId: `<${id}@${from.split("@").at(-1)}>`,
          // RFC 3834: nobody's out-of-office answers it.
          headers: { "Auto-Submitted": "auto-generated" },
        });
        return "taken";
      } catch (error) {
        return outcomeOf(error);
      }
    },
  };
};

/** Before anything of the mail went out. */
const earlyCodes = new Set(["EDNS", "EENVELOPE", "ECONFIG"]);
const earlyCauses = new Set([
  "ECONNREFUSED",
  "EHOSTUNREACH",
  "ENETUNREACH",
  "ENOTFOUND",
  "CONNECTION_TIMEOUT",
  "GREETING_TIMEOUT",
]);

const outcomeOf = (error: unknown): MailOutcome => {
  const { responseCode, code, originalCode } = error as Partial<Record<string, unknown>>;
  // Name, password, certificate: nothing is wrong with the mail.
  if (code === "EAUTH" || code === "ETLS") return "unavailable";
  if (typeof responseCode === "number") return responseCode >= 500 ? "refused" : "unavailable";
  const isEarly = earlyCodes.has(String(code)) || earlyCauses.has(String(originalCode));
  return isEarly ? "unavailable" : "unanswered";
};
