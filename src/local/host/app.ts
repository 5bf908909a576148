/**
 * Loads a function app the way the Node worker does: `@azure/functions-core` is provided by patching `require` before the entry
 * is imported, registration ends when the entry has run, setup ends with the question for capabilities.
 * One app for a process: the library keeps its side of the contract in module state.
 */
import Module from "node:module";
import { pathToFileURL } from "node:url";
import type { FunctionCallback, FunctionMetadata, LogCategory, LogLevel, ProgrammingModel } from "./contract.ts";
import { Hooks } from "./hooks.ts";
import type { Log } from "./log.ts";

export interface RegisteredFunction {
  metadata: FunctionMetadata;
  callback: FunctionCallback;
}

export interface App {
  /** In the order in which the host tries their routes: by name, not caring for case. */
  functions: RegisteredFunction[];
  model: ProgrammingModel;
  hooks: Hooks;
}

export const loadApp = async (entry: string, appDirectory: string, log: Log): Promise<App> => {
  const hooks = new Hooks();
  const functions = new Map<string, RegisteredFunction>();
  let model: ProgrammingModel | undefined;
  let locked = false;

  const register = (metadata: FunctionMetadata, callback: FunctionCallback): Disposable => {
    if (locked) throw systemError(Error, `"${metadata.name}" is registered after the app has started.`);
    const id = metadata.functionId ?? metadata.name;
    if (functions.has(id)) throw systemError(Error, `A function "${id}" is already registered.`);
    functions.set(id, { metadata, callback });
    return new Disposable(() => {
      if (locked) throw systemError(Error, `"${id}" is disposed of after the app has started.`);
      functions.delete(id);
    });
  };

  const provided = provide("@azure/functions-core", {
    version: "3.12.0",
    hostVersion: "4.1037.0",
    Disposable,
    registerFunction: register,
    registerHook: (name: string, callback: (context: object) => unknown) => {
      if (!Hooks.isKnown(name)) throw systemError(RangeError, `Unrecognized hook "${name}"`);
      return new Disposable(hooks.add(name, callback));
    },
    setProgrammingModel: (given: ProgrammingModel) => {
      model = given;
    },
    getProgrammingModel: () => model,
    log: (level: LogLevel, _category: LogCategory, message: string) => log({ level, message }),
  });
  await import(pathToFileURL(entry).href);

  if (!model || functions.size === 0) {
    throw new Error(`${entry} registered no functions${provided.wasAsked() ? "" : "; it never asked for the host"}.`);
  }
  await hooks.run("appStart", { functionAppDirectory: appDirectory });
  const capabilities = await model.getCapabilities({});
  if (capabilities.HttpUri !== undefined) {
    throw new Error("The app enables HTTP streaming (enableHttpStream), which this host does not offer.");
  }
  locked = true;
  const byName = [...functions.values()].toSorted((a, b) => compareNames(a.metadata.name, b.metadata.name));
  return { functions: byName, model, hooks };
};

/** Ordinal, case ignored by raising it: the order decides which of two matching routes wins. */
const compareNames = (a: string, b: string): number => {
  const [left, right] = [a.toUpperCase(), b.toUpperCase()];
  return left < right ? -1 : left > right ? 1 : 0;
};

const provide = (name: string, exports: object): { wasAsked(): boolean } => {
  let asked = false;
  // oxlint-disable-next-line typescript/unbound-method -- called with the module it was called on
  const original = Module.prototype.require;
  Module.prototype.require = function (this: Module, id: string): unknown {
    if (id !== name) return Reflect.apply(original, this, [id]);
    asked = true;
    return exports;
  };
  return { wasAsked: () => asked };
};

/** The library tells faults of the system from those of the app by this mark. */
const systemError = (kind: ErrorConstructor | RangeErrorConstructor, message: string): Error =>
  Object.assign(new kind(message), { isAzureFunctionsSystemError: true });

class Disposable {
  readonly #undo: () => void;

  constructor(undo: () => void) {
    this.#undo = undo;
  }

  static from(...disposables: { dispose(): unknown }[]): Disposable {
    return new Disposable(() => {
      for (const disposable of disposables) disposable.dispose();
    });
  }

  dispose(): void {
    this.#undo();
  }
}
