/**
 * At most two hints for one thing in each half minute, however many notifications there are: the first at once, the second when
 * the half minute is over. It stands for all that came in between, so it says of itself that it was received at its end, and
 * a round that began earlier does not make it needless.
 */

/** `send` resolves when the hint is safe. */
export type HintGate = (key: string, send: SendHint) => Promise<void>;
export type SendHint = (hint: GatedHint) => Promise<void>;
export interface GatedHint {
  /** Of the last notification that it may stand for. */
  receivedAt: number;
  /** Of the first. */
  since: number;
  delaySeconds: number;
}

interface Window {
  openedAt: number;
  /** Null: not needed yet. */
  second: Promise<void> | null;
}

const windowMilliseconds = 30_000;
/** More are there for a moment only, until those that are over are thrown away. */
const windowsKept = 1000;

export const hintGate = (now: () => number): HintGate => {
  const windows = new Map<string, Window>();

  const first = async (key: string, send: SendHint, at: number): Promise<void> => {
    if (windows.size >= windowsKept) for (const [name, each] of windows) if (isOver(each, at)) windows.delete(name);
    const opened: Window = { openedAt: at, second: null };
    windows.set(key, opened);
    try {
      await send({ receivedAt: at, since: at, delaySeconds: 0 });
    } catch (error) {
      // Nobody else may count on a hint that was not sent.
      if (windows.get(key) === opened) windows.delete(key);
      throw error;
    }
  };

  const second = async (open: Window, send: SendHint, at: number): Promise<void> => {
    try {
      await send({ receivedAt: at + windowMilliseconds, since: at, delaySeconds: windowMilliseconds / 1000 });
    } catch (error) {
      open.second = null;
      throw error;
    }
  };

  return (key, send) => {
    const at = now();
    const open = windows.get(key);
    if (!open || isOver(open, at)) return first(key, send, at);
    open.second ??= second(open, send, at);
    return open.second;
  };
};

/** A clock that was set back opens a new window too. */
const isOver = ({ openedAt }: Window, at: number): boolean => Math.abs(at - openedAt) >= windowMilliseconds;
