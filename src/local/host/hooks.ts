/** Hooks of an app: called in the order of their registration with one shared object, which they may change. */
const names = ["appStart", "appTerminate", "preInvocation", "postInvocation", "log"] as const;
export type HookName = (typeof names)[number];
type HookCallback = (context: object) => unknown;

export class Hooks {
  /** One object for the life of the app, handed to every hook. */
  readonly appHookData: Record<string, unknown> = {};
  readonly #callbacks = new Map<HookName, HookCallback[]>(names.map((name) => [name, []]));

  static isKnown(name: string): name is HookName {
    return names.some((known) => known === name);
  }

  /** Answers how to take the hook away again. */
  add(name: HookName, callback: HookCallback): () => void {
    this.#callbacks.get(name)?.push(callback);
    return () => {
      const remaining = this.#callbacks.get(name)?.filter((registered) => registered !== callback) ?? [];
      this.#callbacks.set(name, remaining);
    };
  }

  /** Answers the context as the hooks left it. */
  async run<C extends object>(name: HookName, context: C, hookData: object = {}): Promise<C> {
    const shared = { hookData, appHookData: this.appHookData, ...context };
    for (const callback of this.#callbacks.get(name) ?? []) await callback(shared);
    return shared;
  }

  /** The log hook cannot wait: a line is written at once. */
  runNow<C extends object>(name: HookName, context: C, hookData: object = {}): C {
    const shared = { hookData, appHookData: this.appHookData, ...context };
    for (const callback of this.#callbacks.get(name) ?? []) callback(shared);
    return shared;
  }
}
