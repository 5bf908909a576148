/** Whether a first sync finds the store empty: then nobody it reads of has to be looked up, which is most of what it would ask. */
import type { Round } from "./round.ts";

type Kind = "person" | "group";

const asked = new WeakMap<Round, Partial<Record<Kind, Promise<boolean>>>>();

/** Asked once for each slice. Only the run itself creates people and groups, so the answer holds until it applies its plan. */
export const noneStored = async (round: Round, kind: Kind): Promise<boolean> => {
  const { cursor, needs, connection } = round;
  // A round after the first has met somebody; a first one may follow a run that was broken off.
  if (!cursor.first || cursor.at.phase === "applying") return false;
  const answers = asked.get(round) ?? {};
  asked.set(round, answers);
  answers[kind] ??= needs.store.listIds(connection.connectionId, kind, { limit: 1 }).then((ids) => ids.length === 0);
  return answers[kind];
};
