/** A group's members now, read to the end. */
import { isAppError } from "../../errors.ts";
import { CursorExpired } from "../ports.ts";
import { keepTurn, type Round, setAside } from "./round.ts";

/** Null when Graph refuses: then nothing is known. */
export const liveMembers = async (round: Round, group: string): Promise<{ type: string; id: string }[] | null> => {
  const { needs, connection } = round;
  const members: { type: string; id: string }[] = [];
  try {
    for (let link: string | null = null; ; ) {
      await keepTurn(round);
      const page = await needs.source.members(connection, group, link);
      members.push(...page.members);
      if (page.next === null) return members;
      link = page.next;
    }
  } catch (error) {
    if (!isAppError(error, "graph-refused") && !(error instanceof CursorExpired)) throw error;
    setAside(round, "membership-not-readable", group);
    // What this delta could not settle, no later one speaks of.
    if (!round.cursor.full.groups) round.cursor.suspect = true;
    return null;
  }
};
