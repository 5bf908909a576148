/** The HTTP messages that the simulated services answer: plain values, so that a service can be tested without a socket. */

export interface SimRequest {
  method: string;
  /** Absolute; its origin is the one the service is reached at. */
  url: URL;
  /** Names in lower case; repeated headers joined with `, `. */
  headers: Record<string, string>;
  body: string;
}

export interface SimResponse {
  status: number;
  headers?: Record<string, string>;
  /** An object is sent as JSON; a string as it is, with the content type the headers name. */
  body?: string | object;
  /** Trouble below HTTP: the socket is reset instead of answered, or closed in the middle of the body. */
  wire?: "reset" | "truncated";
  delayMilliseconds?: number;
}
