/** One call of a function, step by step as the Node worker makes it. */
import { randomBytes, randomUUID } from "node:crypto";
import type { App, RegisteredFunction } from "./app.ts";
import type { CoreInvocationContext, InvocationResponse, LogCategory, LogLevel, TypedData } from "./contract.ts";
import type { Log } from "./log.ts";
import { triggerOf } from "./triggers.ts";

export interface TriggerInput {
  data: TypedData;
  metadata?: Record<string, TypedData>;
  /** W3C `traceparent` of the caller, if it sent one. */
  traceParent?: string;
}

export type Invoke = (target: RegisteredFunction, input: TriggerInput) => Promise<InvocationResponse>;

/**
 * The returned function rejects when the function or one of its hooks fails; the failure is in the log by then.
 * A function that outlives `functionTimeoutMs` takes the whole process with it, and all other calls in it: so does the real host.
 */
export const invoker =
  (app: App, log: Log, functionTimeoutMs: number): Invoke =>
  async (target, input) => {
    const { name } = target.metadata;
    const invocationId = randomUUID();
    const tooLong = setTimeout(() => {
      throw new Error(`${name} (${invocationId}) ran longer than functionTimeout, ${functionTimeoutMs / 1000} s.`);
    }, functionTimeoutMs);
    try {
      return await invokeOnce(app, target, input, invocationId, log);
    } catch (error) {
      const message = error instanceof Error ? (error.stack ?? error.message) : toText(error);
      log({ level: "error", functionName: name, invocationId, message });
      throw error;
    } finally {
      clearTimeout(tooLong);
    }
  };

const invokeOnce = async (
  app: App,
  target: RegisteredFunction,
  input: TriggerInput,
  invocationId: string,
  log: Log,
): Promise<InvocationResponse> => {
  const { metadata } = target;
  const hookData = {};
  let invocationContext: unknown;

  const core: CoreInvocationContext = {
    invocationId,
    metadata,
    state: undefined,
    request: {
      invocationId,
      functionId: metadata.functionId ?? metadata.name,
      inputData: [{ name: triggerOf(metadata).name, data: input.data }],
      triggerMetadata: input.metadata ?? {},
      traceContext: { traceParent: input.traceParent ?? newTraceParent(), traceState: "", attributes: {} },
    },
    log: (level: LogLevel, category: LogCategory, message: string) => {
      const seen = app.hooks.runNow("log", { level, message, category, invocationContext }, hookData);
      // Hooks may redact what the app says, not what the system says.
      const said = category === "user" ? seen : { level, message };
      log({ level: said.level, message: said.message, functionName: metadata.name, invocationId });
    },
  };

  const model = app.model.getInvocationModel(core);
  const given = await model.getArguments();
  invocationContext = given.context;

  core.state = "preInvocationHooks";
  const before = { invocationContext, inputs: given.inputs, functionCallback: target.callback };
  const { inputs, functionCallback } = await app.hooks.run("preInvocation", before, hookData);

  core.state = "invocation";
  let outcome: { result: unknown; error: unknown };
  try {
    outcome = { result: await model.invokeFunction(invocationContext, inputs, functionCallback), error: undefined };
  } catch (error) {
    outcome = { result: undefined, error };
  }

  core.state = "postInvocationHooks";
  const { result, error } = await app.hooks.run("postInvocation", { invocationContext, inputs, ...outcome }, hookData);
  core.state = undefined;
  // `throw undefined` counts as success, and a hook may set the error to null: both as in the worker.
  if (error !== undefined && error !== null) throw error;
  return model.getResponse(invocationContext, result);
};

const newTraceParent = (): string => `00-${randomBytes(16).toString("hex")}-${randomBytes(8).toString("hex")}-01`;

const toText = (thrown: unknown): string => (typeof thrown === "string" ? thrown : JSON.stringify(thrown));
