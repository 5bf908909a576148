/** A real browser: the Chromium of `CHROMIUM_PATH`, without a window, told what to do by its DevTools protocol. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as delay } from "node:timers/promises";
import { z } from "zod";

export interface Tab {
  open(address: string): Promise<void>;
  /** The value of an expression in the page; it is asked again while the page is changing. */
  ask(expression: string): Promise<unknown>;
  /** Until the expression is true; `what` is said when it never is. */
  until(what: string, expression: string): Promise<void>;
  /** Presses the last button with this in its text or among its attributes. */
  press(name: string): Promise<void>;
  fill(selector: string, value: string): Promise<void>;
  address(): Promise<string>;
  /** What the browser has complained about since this was last asked: policies that were broken, scripts that failed. */
  complaints(): string[];
}

export interface Chromium {
  tab(): Promise<Tab>;
  /** The one that another page has opened, by the beginning of its address. */
  opened(address: string): Promise<Tab>;
  close(): Promise<void>;
}

const patienceMs = 60_000;
const silenceMs = 10_000;

const Message = z.object({
  id: z.number().optional(),
  method: z.string().optional(),
  sessionId: z.string().optional(),
  params: z.unknown().optional(),
  result: z.unknown().optional(),
  error: z.object({ message: z.string() }).optional(),
});
type Message = z.infer<typeof Message>;

export const startChromium = async (path: string): Promise<Chromium> => {
  const profile = await mkdtemp(join(tmpdir(), "m365-sync-chromium-"));
  const child = spawn(
    path,
    [
      "--headless",
      "--remote-debugging-port=0",
      `--user-data-dir=${profile}`,
      "--no-first-run",
      // The stack's certificate authority lives as long as the stack, and no trust store knows it.
      "--ignore-certificate-errors",
      // The sandbox does not start for root, as whom containers run tests.
      ...(process.getuid?.() === 0 ? ["--no-sandbox"] : []),
      "about:blank",
    ],
    { stdio: ["ignore", "ignore", "pipe"] },
  );
  const exited = new Promise((resolve) => child.on("exit", resolve));
  const wire = await openWire(await endpointOf(child));
  return {
    tab: async () => {
      const { targetId } = Created.parse(await wire.send("Target.createTarget", { url: "about:blank" }));
      return openTab(wire, targetId);
    },
    opened: async (address) => {
      const giveUpAt = Date.now() + patienceMs;
      for (;;) {
        const { targetInfos } = Targets.parse(await wire.send("Target.getTargets"));
        const found = targetInfos.find(({ openerId, url }) => openerId !== undefined && url.startsWith(address));
        if (found) return openTab(wire, found.targetId);
        if (Date.now() > giveUpAt) throw new Error(`No page has opened ${address}.`);
        await delay(50);
      }
    },
    close: async () => {
      wire.close();
      // Nothing of its profile is to be kept.
      child.kill("SIGKILL");
      await exited;
      await rm(profile, { recursive: true, force: true, maxRetries: 5 });
    },
  };
};

const endpointOf = (child: ChildProcess): Promise<string> =>
  new Promise((resolve, reject) => {
    const said: string[] = [];
    child.on("error", reject);
    child.on("exit", () => reject(new Error(`Chromium did not start: ${said.join("\n")}`)));
    if (!child.stderr) return reject(new Error("Chromium has no voice."));
    // Read to the end, so that it never waits to say something.
    createInterface({ input: child.stderr }).on("line", (line) => {
      said.push(line);
      const found = /^DevTools listening on (ws:\S+)/.exec(line)?.[1];
      if (found !== undefined) resolve(found);
    });
  });

interface Wire {
  send(method: string, params?: object, sessionId?: string): Promise<unknown>;
  hear(sessionId: string, listener: (message: Message) => void): void;
  close(): void;
}

const openWire = async (address: string): Promise<Wire> => {
  const socket = new WebSocket(address);
  const waiting = new Map<number, (message: Message) => void>();
  const listeners = new Map<string, (message: Message) => void>();
  socket.addEventListener("message", ({ data }) => {
    const message = Message.parse(JSON.parse(String(data)));
    if (message.id !== undefined) waiting.get(message.id)?.(message);
    else if (message.sessionId !== undefined) listeners.get(message.sessionId)?.(message);
  });
  await once(socket, "open");
  let last = 0;
  return {
    send: (method, params = {}, sessionId) =>
      new Promise((resolve, reject) => {
        const id = ++last;
        // What was asked of a page that went away in that moment is never answered.
        const timer = setTimeout(() => reject(new Error(`${method} was not answered`)), silenceMs);
        waiting.set(id, ({ result, error }) => {
          waiting.delete(id);
          clearTimeout(timer);
          if (error) reject(new Error(`${method}: ${error.message}`));
          else resolve(result);
        });
        socket.send(JSON.stringify({ id, method, params, ...(sessionId === undefined ? {} : { sessionId }) }));
      }),
    hear: (sessionId, listener) => void listeners.set(sessionId, listener),
    close: () => socket.close(),
  };
};

const Evaluated = z.object({
  result: z.object({ value: z.unknown().optional() }),
  exceptionDetails: z.object({ exception: z.object({ description: z.string() }).optional() }).optional(),
});
const Complaint = z.object({
  entry: z.object({ level: z.string(), text: z.string() }).optional(),
  exceptionDetails: z.object({ text: z.string() }).optional(),
});

const Created = z.object({ targetId: z.string() });
const Targets = z.object({
  targetInfos: z.array(z.object({ targetId: z.string(), openerId: z.string().optional(), url: z.string() })),
});

const openTab = async (wire: Wire, targetId: string): Promise<Tab> => {
  const attached = await wire.send("Target.attachToTarget", { targetId, flatten: true });
  const { sessionId } = z.object({ sessionId: z.string() }).parse(attached);
  const complaints: string[] = [];
  wire.hear(sessionId, ({ method, params }) => {
    if (method !== "Log.entryAdded" && method !== "Runtime.exceptionThrown") return;
    const { entry, exceptionDetails } = Complaint.parse(params);
    if (exceptionDetails || entry?.level === "error") complaints.push(entry?.text ?? exceptionDetails?.text ?? "");
  });
  for (const domain of ["Page", "Runtime", "Log"]) await wire.send(`${domain}.enable`, {}, sessionId);

  const evaluate = async (expression: string): Promise<unknown> => {
    const parameters = { expression, returnByValue: true, awaitPromise: true };
    const { result, exceptionDetails } = Evaluated.parse(await wire.send("Runtime.evaluate", parameters, sessionId));
    if (exceptionDetails) throw new Error(exceptionDetails.exception?.description ?? "The page threw something.");
    return result.value;
  };
  const tab: Tab = {
    open: async (address) => void (await wire.send("Page.navigate", { url: address }, sessionId)),
    ask: async (expression) => {
      const giveUpAt = Date.now() + patienceMs;
      for (;;) {
        try {
          return await evaluate(expression);
        } catch (error) {
          // A page that is on its way to another one cannot be asked.
          if (Date.now() > giveUpAt) throw error;
          await delay(50);
        }
      }
    },
    until: async (what, expression) => {
      const giveUpAt = Date.now() + patienceMs;
      while ((await tab.ask(expression)) !== true) {
        if (Date.now() > giveUpAt)
          throw new Error(
            `Waited in vain for ${what} at ${await tab.address()}: ${complaints.join("; ")} ${String(await tab.ask("document.body.innerText"))}`,
          );
        await delay(50);
      }
    },
    press: async (name) => {
      const text = JSON.stringify(name);
      const isMeant = `(each) => each.outerHTML.includes(${text})`;
      const button = `[...document.querySelectorAll("button")].findLast(${isMeant})`;
      await tab.until(`the button ${name}`, `${button} !== undefined`);
      // Afterwards, because the page may be gone before it answers.
      await evaluate(`{ const button = ${button}; setTimeout(() => button.click()); }`);
    },
    fill: async (selector, value) => {
      const [field, text] = [selector, value].map((each) => JSON.stringify(each));
      await tab.until(selector, `document.querySelector(${field}) !== null`);
      await evaluate(
        `{ const field = document.querySelector(${field}); field.value = ${text}; field.dispatchEvent(new Event("input", { bubbles: true })); field.dispatchEvent(new Event("change", { bubbles: true })); }`,
      );
    },
    address: async () => String(await tab.ask("location.href")),
    complaints: () => complaints.splice(0),
  };
  return tab;
};
