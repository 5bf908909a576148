/** What Microsoft Graph answers when it refuses: thrown anywhere below the router, turned into the envelope at one place. */
export class GraphError extends Error {
  readonly status: number;
  readonly code: string;
  readonly headers: Record<string, string>;
  /** A code nested inside `innerError`, as some services put it. */
  readonly innerCode: string | undefined;

  constructor(
    status: number,
    code: string,
    message: string,
    extra: { headers?: Record<string, string>; innerCode?: string } = {},
  ) {
    super(message);
    this.status = status;
    this.code = code;
    this.headers = extra.headers ?? {};
    this.innerCode = extra.innerCode;
  }
}

export interface ErrorOrigin {
  /** UTC, without fraction and zone, as Graph prints it. */
  date: string;
  requestId: string;
  clientRequestId: string;
}

export const errorBody = (error: Pick<GraphError, "code" | "message" | "innerCode">, origin: ErrorOrigin): object => ({
  error: {
    code: error.code,
    message: error.message,
    innerError: {
      ...(error.innerCode ? { code: error.innerCode } : {}),
      date: origin.date,
      "request-id": origin.requestId,
      "client-request-id": origin.clientRequestId,
    },
  },
});

export const badRequest = (message: string): GraphError => new GraphError(400, "BadRequest", message);

export const unsupportedQuery = (message: string): GraphError =>
  new GraphError(400, "Request_UnsupportedQuery", message);

export const resourceNotFound = (id: string): GraphError =>
  new GraphError(
    404,
    "Request_ResourceNotFound",
    `Resource '${id}' does not exist or one of its queried reference-property objects are not present.`,
  );

export const accessDenied = (): GraphError =>
  new GraphError(403, "Authorization_RequestDenied", "Insufficient privileges to complete the operation.");

export const invalidToken = (message: string): GraphError =>
  new GraphError(401, "InvalidAuthenticationToken", message, {
    headers: { "WWW-Authenticate": 'Bearer realm="", authorization_uri="https://localhost/common/oauth2/authorize"' },
  });

export const methodNotAllowed = (): GraphError =>
  new GraphError(405, "Request_BadRequest", "Specified HTTP method is not allowed for the request target.");
