/** Lets the event loop go round once: a request that was made can leave, and an answer that has come can be read. */
export const eventLoopTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
