/** Starts the simulated Microsoft as a child process, and speaks to its control port. */
import { type Child, type ChildExtras, startChild } from "../child.ts";
import type { Commands } from "./commands.ts";
import type { SimulatorAddresses } from "./main.ts";
import type { SimulatorOptions } from "./server.ts";

export type SimulatorCommand = <Name extends keyof Commands>(
  name: Name,
  asked: Parameters<Commands[Name]["run"]>[0],
) => Promise<ReturnType<Commands[Name]["run"]>>;

export interface SimulatorProcess extends Omit<Child<SimulatorAddresses>, "ready">, SimulatorAddresses {
  command: SimulatorCommand;
}

export const startSimulatorProcess = async (
  options: SimulatorOptions,
  extra?: ChildExtras,
): Promise<SimulatorProcess> => {
  const { ready, ...child } = await startChild<SimulatorOptions, SimulatorAddresses>(
    new URL("./main.ts", import.meta.url),
    options,
    extra,
  );
  return { ...child, ...ready, command: simulatorCommand(ready) };
};

const simulatorCommand =
  ({ controlUrl, controlSecret }: Pick<SimulatorAddresses, "controlUrl" | "controlSecret">): SimulatorCommand =>
  async <Name extends keyof Commands>(name: Name, asked: Parameters<Commands[Name]["run"]>[0]) => {
    const answer = await fetch(`${controlUrl}/${name}`, {
      method: "POST",
      headers: { "x-control-secret": controlSecret },
      body: JSON.stringify(asked),
    });
    const text = await answer.text();
    if (!answer.ok) throw new Error(`The simulator refused ${name}: ${text}`);
    return JSON.parse(text) as ReturnType<Commands[Name]["run"]>;
  };
