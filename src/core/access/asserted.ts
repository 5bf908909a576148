/**
 * Whom a program names as the person it works for. It is kept and shown as asserted, never as proven - and where somebody must not
 * decide twice, a person who was only asserted counts as that person.
 */
import type { Caller } from "../context.ts";

const mark = "asserted:";

/** Who is to answer for something, in one text. */
export const responsibleOf = ({ subject, asserted }: Pick<Caller, "subject" | "asserted">): string =>
  asserted?.subject === undefined ? subject : `${mark}${asserted.subject}`;

export const isResponsible = (responsible: string | null, { subject }: Pick<Caller, "subject">): boolean =>
  responsible === subject || responsible === `${mark}${subject}`;
