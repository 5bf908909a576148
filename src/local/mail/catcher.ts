/** An SMTP server that delivers nowhere: mails of the embedded stack end here, readable by tests and, as files, by people. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import PostalMime, { type Address } from "postal-mime";
import { SMTPServer, type SMTPServerDataStream, type SMTPServerSession } from "smtp-server";

export interface CaughtMail {
  /** Envelope: who really sent it, who really receives it. */
  envelope: { from: string; to: string[] };
  /** Header fields as a mail program shows them; addresses without names. */
  from: string;
  to: string[];
  subject: string;
  text: string;
  html: string;
  /** Lower-case names; of a repeated header the last. */
  headers: Record<string, string>;
  raw: string;
  receivedAt: number;
}

export interface MailCatcherOptions {
  port?: number;
  /** Also keeps each mail as an `.eml` file in this folder. */
  dir?: string;
  now?: () => number;
}

export interface MailCatcher {
  /** `smtp://127.0.0.1:port` */
  smtpUrl: string;
  /** Oldest first. */
  messages(): CaughtMail[];
  clear(): void;
  /** The next `count` mails are refused for the moment (451), as a busy server does. */
  refuseNext(count: number): void;
  close(): Promise<void>;
}

const maxBytes = 5_000_000;

class SmtpRefusal extends Error {
  readonly responseCode: number;
  constructor(responseCode: number, message: string) {
    super(message);
    this.responseCode = responseCode;
  }
}

export const startMailCatcher = async (options: MailCatcherOptions = {}): Promise<MailCatcher> => {
  const now = options.now ?? Date.now;
  const caught: CaughtMail[] = [];
  let refusals = 0;
  let files = 0;

  const receive = async (stream: SMTPServerDataStream, session: SMTPServerSession): Promise<void> => {
    const chunks: Buffer[] = [];
    for await (const chunk of stream) chunks.push(Buffer.from(chunk));
    if (stream.sizeExceeded) throw new SmtpRefusal(552, "The message is too large.");
    if (refusals > 0) {
      refusals -= 1;
      throw new SmtpRefusal(451, "Try again later.");
    }
    const raw = Buffer.concat(chunks);
    const mail = await PostalMime.parse(raw);
    if (options.dir !== undefined) {
      mkdirSync(options.dir, { recursive: true });
      files += 1;
      writeFileSync(join(options.dir, `${now()}-${String(files).padStart(4, "0")}.eml`), raw, { mode: 0o600 });
    }
    const { mailFrom, rcptTo } = session.envelope;
    caught.push({
      envelope: { from: mailFrom ? mailFrom.address : "", to: rcptTo.map(({ address }) => address) },
      from: addressesOf(mail.from).join(", "),
      to: (mail.to ?? []).flatMap(addressesOf),
      subject: mail.subject ?? "",
      text: mail.text ?? "",
      html: mail.html ?? "",
      headers: Object.fromEntries(mail.headers.map(({ key, value }) => [key, value])),
      raw: raw.toString(),
      receivedAt: now(),
    });
  };

  const server = new SMTPServer({
    disabledCommands: ["AUTH", "STARTTLS"],
    disableReverseLookup: true,
    logger: false,
    size: maxBytes,
    onData: (stream, session, callback) => void settle(receive(stream, session), callback),
  });
  // A client that hangs up in the middle is its own misfortune.
  server.on("error", () => {});
  const port = await listen(server, options.port ?? 0);
  return {
    smtpUrl: `smtp://127.0.0.1:${port}`,
    messages: () => [...caught],
    clear: () => {
      caught.length = 0;
    },
    refuseNext: (count) => {
      refusals = count;
    },
    close: () => new Promise((resolve) => server.close(() => resolve())),
  };
};

const settle = async (receiving: Promise<void>, done: (error?: Error) => void): Promise<void> => {
  try {
    await receiving;
    done();
  } catch (error) {
    done(error instanceof Error ? error : new Error(String(error)));
  }
};

const listen = (server: SMTPServer, port: number): Promise<number> =>
  new Promise((resolve, reject) => {
    server.server.once("error", reject);
    server.listen(port, "127.0.0.1", () => {
      const address = server.server.address();
      resolve(typeof address === "object" && address ? address.port : port);
    });
  });

const addressesOf = (address: Address | undefined): string[] =>
  address === undefined ? [] : (address.group?.map((one) => one.address) ?? [address.address ?? ""]);
