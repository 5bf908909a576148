/** What the person at the keyboard sees: sentences, one bar while something long goes on, aligned tables. */
import { Presets, SingleBar } from "cli-progress";

export interface Progress {
  /** `total` may grow while it goes on. */
  update(done: number, total: number, phase: string): void;
  /** `result` is absent when it failed. */
  end(result?: string): void;
}

export interface Console {
  line(text?: string): void;
  progress(title: string): Progress;
}

const plainEveryMs = 2000;
/** What is over sooner needs no bar. */
const barAfterMs = 700;

/** `plain`: no bar, a line every few seconds instead. */
export const openConsole = (output: NodeJS.WriteStream, plain: boolean): Console => {
  const line = (text = ""): void => {
    output.write(`${text}\n`);
  };
  return { line, progress: (title) => (plain ? lines(title, line) : bar(title, output, line)) };
};

const bar = (title: string, stream: NodeJS.WriteStream, line: Console["line"]): Progress => {
  const single = new SingleBar(
    {
      stream,
      format: `${title}  {bar} {percentage}%  {value}/{total}  {phase}`,
      hideCursor: true,
      clearOnComplete: true,
    },
    Presets.shades_classic,
  );
  const begunAt = Date.now();
  let started = false;
  return {
    update: (done, total, phase) => {
      if (Date.now() - begunAt < barAfterMs) return;
      if (!started) single.start(total, done, { phase });
      started = true;
      single.setTotal(total);
      single.update(done, { phase });
    },
    end: (result) => {
      if (started) single.stop();
      if (result !== undefined) line(`${title}: ${result}`);
    },
  };
};

const lines = (title: string, line: Console["line"]): Progress => {
  let spokenAt = Date.now();
  let said = "";
  return {
    update: (done, total, phase) => {
      const text = `${title}  ${phase}  ${done}/${total}`;
      const now = Date.now();
      if (text === said || now - spokenAt < plainEveryMs) return;
      said = text;
      spokenAt = now;
      line(text);
    },
    end: (result) => {
      if (result !== undefined) line(`${title}: ${result}`);
    },
  };
};

/** The first column is text, the others are numbers, aligned to the right. */
export const table = (rows: readonly (readonly string[])[]): string[] =>
  aligned(rows, (cell, width, index) => (index === 0 ? cell.padEnd(width) : cell.padStart(width)));

export const columns = (rows: readonly (readonly string[])[]): string[] =>
  aligned(rows, (cell, width) => cell.padEnd(width));

const aligned = (
  rows: readonly (readonly string[])[],
  pad: (cell: string, width: number, index: number) => string,
): string[] => {
  const widths: number[] = [];
  for (const row of rows)
    for (const [index, cell] of row.entries()) widths[index] = Math.max(widths[index] ?? 0, cell.length);
  return rows.map((row) =>
    row
      .map((cell, index) => pad(cell, widths[index] ?? 0, index))
      .join("   ")
      .trimEnd(),
  );
};
