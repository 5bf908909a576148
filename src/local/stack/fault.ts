/** Something the person who started the stack can put right; the message is one sentence for that person. */
export class StackFault extends Error {
  constructor(message: string, cause?: unknown) {
    super(message, cause === undefined ? {} : { cause });
    this.name = "StackFault";
  }
}
