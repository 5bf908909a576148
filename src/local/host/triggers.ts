/** What starts a function, read from its registration. What this host does not offer is refused when the app is loaded. */
import type { RegisteredFunction } from "./app.ts";
import type { Binding, FunctionMetadata } from "./contract.ts";

export type Trigger =
  | { kind: "http"; route: string; methods: string[] }
  | { kind: "timer"; schedule: string; runOnStartup: boolean; useMonitor: boolean }
  | { kind: "queue"; queueName: string; connection: string };

export type Triggered<K extends Trigger["kind"]> = RegisteredFunction & { trigger: Extract<Trigger, { kind: K }> };

export const triggerOf = (metadata: FunctionMetadata): { name: string; binding: Binding } => {
  for (const [name, binding] of Object.entries(metadata.bindings)) {
    if (/trigger$/i.test(binding.type)) return { name, binding };
  }
  throw new Error(`${metadata.name} has no trigger.`);
};

/** `resolve` replaces `%SETTING%`. */
export const readTrigger = (metadata: FunctionMetadata, resolve: (text: string) => string): Trigger => {
  const { name, binding } = triggerOf(metadata);
  refuseUnsupported(metadata, name);
  switch (binding.type.toLowerCase()) {
    case "httptrigger":
      return {
        kind: "http",
        route: resolve(text(binding.route) ?? metadata.name),
        methods: list(binding.methods).map((method) => method.toUpperCase()),
      };
    case "timertrigger":
      return {
        kind: "timer",
        schedule: resolve(text(binding.schedule) ?? ""),
        runOnStartup: binding.runOnStartup === true,
        useMonitor: binding.useMonitor !== false,
      };
    case "queuetrigger":
      return {
        kind: "queue",
        queueName: resolve(text(binding.queueName) ?? ""),
        connection: resolve(text(binding.connection) ?? "AzureWebJobsStorage"),
      };
    default:
      throw new Error(`${metadata.name}: this host has no ${binding.type}.`);
  }
};

export const isTriggeredBy =
  <K extends Trigger["kind"]>(kind: K) =>
  (candidate: RegisteredFunction & { trigger: Trigger }): candidate is Triggered<K> =>
    candidate.trigger.kind === kind;

const refuseUnsupported = (metadata: FunctionMetadata, triggerName: string): void => {
  if (metadata.retryOptions) throw new Error(`${metadata.name}: this host has no retry policies.`);
  for (const [name, binding] of Object.entries(metadata.bindings)) {
    const isAnswer = binding.type.toLowerCase() === "http" && binding.direction === "out";
    if (name !== triggerName && !isAnswer) {
      throw new Error(`${metadata.name}: this host has no bindings of type ${binding.type} (${binding.direction}).`);
    }
  }
};

const text = (value: unknown): string | undefined => (typeof value === "string" ? value : undefined);

const list = (value: unknown): string[] =>
  Array.isArray(value) ? value.filter((entry): entry is string => typeof entry === "string") : [];
