/** As much of a browser as the setup page uses: a tree of elements, events, and one script run by its own text. */
import vm from "node:vm";

class FakeElement {
  readonly tag: string;
  readonly attributes = new Map<string, string>();
  readonly children: (FakeElement | string)[] = [];
  readonly #listeners = new Map<string, (event: object) => void>();
  value = "";
  checked = false;
  isFocused = false;
  constructor(tag: string) {
    this.tag = tag;
  }
  setAttribute(name: string, value: unknown): void {
    this.attributes.set(name, String(value));
  }
  getAttribute(name: string): string | null {
    return this.attributes.get(name) ?? null;
  }
  removeAttribute(name: string): void {
    this.attributes.delete(name);
  }
  append(...children: (FakeElement | string)[]): void {
    this.children.push(...children);
  }
  replaceChildren(...children: (FakeElement | string)[]): void {
    this.children.splice(0, Number.POSITIVE_INFINITY, ...children);
  }
  addEventListener(name: string, listener: (event: object) => void): void {
    this.#listeners.set(name, listener);
  }
  focus(): void {
    this.isFocused = true;
  }
  fire(name: string): void {
    const listener = this.#listeners.get(name);
    if (!listener) throw new Error(`Nobody listens to ${name} of ${this.tag}.`);
    listener({ target: this, preventDefault: () => {} });
  }
  get textContent(): string {
    return this.children.map((child) => (typeof child === "string" ? child : child.textContent)).join("");
  }
  set textContent(text: string) {
    this.replaceChildren(text);
  }
  all(): FakeElement[] {
    return [this, ...this.children.flatMap((child) => (typeof child === "string" ? [] : child.all()))];
  }
}

export interface FakePage {
  root: FakeElement;
  /** What the page says now. */
  status(): string;
  byId(id: string): FakeElement;
  /** The control that the label with this text is for. */
  labelled(text: string): FakeElement;
  /** The first button whose text begins so. */
  button(text: string): FakeElement;
  form(): FakeElement;
  message(origin: string, data: unknown): void;
  /** What the page has sent to its opener. */
  announced: { data: unknown; origin: string }[];
}

export type FakeFetch = (
  path: string,
  init: { method: string; headers: Record<string, string>; body?: string },
) => Promise<{ ok: boolean; status: number; json(): Promise<unknown> }>;

export const openFakePage = (script: string, origins: string, fetch: FakeFetch): FakePage => {
  const root = new FakeElement("main");
  root.setAttribute("data-origins", origins);
  const status = new FakeElement("p");
  const byId = (id: string): FakeElement | null => {
    const fixed: Record<string, FakeElement> = { setup: root, status };
    return fixed[id] ?? root.all().find((node) => node.getAttribute("id") === id) ?? null;
  };
  const announced: FakePage["announced"] = [];
  let heard: ((event: { origin: string; data: unknown }) => void) | undefined;
  const window = {
    fetch,
    opener: { postMessage: (data: unknown, origin: string) => void announced.push({ data, origin }) },
    addEventListener: (_name: string, listener: typeof heard) => {
      heard = listener;
    },
  };
  const document = { createElement: (tag: string) => new FakeElement(tag), getElementById: byId };
  // A wait is over at once.
  const setTimeout = (work: () => void): NodeJS.Immediate => setImmediate(work);
  vm.runInNewContext(script, { window, document, URLSearchParams, setTimeout });
  const must = <T>(found: T | null | undefined, what: string): T => {
    if (found === null || found === undefined) throw new Error(`There is no ${what}: ${root.textContent}`);
    return found;
  };
  const named = (tag: string, text: string) =>
    root.all().find((node) => node.tag === tag && node.textContent.startsWith(text));
  return {
    root,
    status: () => status.textContent,
    byId: (id) => must(byId(id), id),
    labelled: (text) => must(byId(must(named("label", text), text).getAttribute("for") ?? ""), `control for ${text}`),
    button: (text) => must(named("button", text), `button ${text}`),
    form: () =>
      must(
        root.all().find(({ tag }) => tag === "form"),
        "form",
      ),
    message: (origin, data) => must(heard, "listener")({ origin, data }),
    announced,
  };
};
