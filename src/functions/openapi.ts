/** The OpenAPI 3.1 document of the API, from the table of routes and its schemas. */
import { z } from "zod";
import { type ProblemCode, problems } from "../core/errors.ts";
import { WebhookEvent } from "../core/webhooks/message.ts";
import { statuses } from "./edge/problem.ts";
import type { Route } from "./route.ts";
import { routes } from "./routes.ts";

type Json = Record<string, unknown>;

export const openApi = (publicBaseUrl: string): Json => {
  const paths: Record<string, Json> = {};
  for (const [name, route] of Object.entries<Route>(routes)) {
    const path = (paths[`/${route.path}`] ??= { parameters: pathParameters(route.path) });
    path[route.method.toLowerCase()] = operation(name, route);
  }
  return {
    openapi: "3.1.0",
    info: { title: "m365-sync", version: "1", license: { name: "MIT", identifier: "MIT" } },
    servers: [{ url: publicBaseUrl }],
    security: [{ accessToken: [] }],
    paths,
    webhooks: { changes: { post: webhook } },
    components: {
      securitySchemes: { accessToken: { type: "http", scheme: "bearer", bearerFormat: "JWT", description: callers } },
      responses: {
        Problem: {
          description: "What went wrong, by a stable code.",
          content: { "application/problem+json": { schema: { $ref: "#/components/schemas/Problem" } } },
        },
      },
      schemas: { Problem: problemSchema },
    },
    "x-problems": problemList(),
  };
};

const callers =
  "Of one of your issuers. A program that is listed names the workspace in X-Workspace-Id, and may name whom it works for in X-Actor-Id and X-Actor-IP, which is recorded as asserted.";

const operation = (name: string, route: Route): Json => ({
  operationId: name,
  tags: [name.split(".")[0]],
  summary: route.summary,
  ...(route.permission === null ? { security: [] } : { "x-permission": route.permission }),
  ...(route.person ? { "x-person-required": true } : {}),
  parameters: [...queryParameters(route), ...ifMatchParameter(route)],
  ...(route.body
    ? { requestBody: { required: true, content: { [mediaType(route)]: { schema: schemaOf(route.body, "input") } } } }
    : {}),
  responses: {
    [String(route.status)]: {
      description: route.summary,
      ...(route.file ? { headers: { Link: { description: "The next part.", schema: { type: "string" } } } } : {}),
      content: contentOf(route),
    },
    default: { $ref: "#/components/responses/Problem" },
  },
});

const contentOf = ({ file, answer }: Route): Json =>
  file
    ? Object.fromEntries(file.map((type) => [type, { schema: { type: "string" } }]))
    : { "application/json": { schema: schemaOf(answer, "output") } };

const mediaType = ({ format }: Route): string => (format === "csv" ? "text/csv" : "application/json");

const schemaOf = (schema: z.ZodType, io: "input" | "output"): Json => {
  const { $schema: _, ...plain } = z.toJSONSchema(schema, { io, unrepresentable: "any" });
  return plain;
};

/** Any status of 200 to 299 takes it. */
const webhook: Json = {
  summary: "Tells an endpoint of your back end that a data connection has changes, or that somebody tries it.",
  description: "Signed as Standard Webhooks say: webhook-id, webhook-timestamp and webhook-signature (v1).",
  requestBody: { required: true, content: { "application/json": { schema: schemaOf(WebhookEvent, "output") } } },
  responses: { "2XX": { description: "Taken." }, "410": { description: "Never again." } },
};

const pathParameters = (path: string): Json[] =>
  [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => ({
    name,
    in: "path",
    required: true,
    schema: { type: "string" },
  }));

const queryParameters = ({ query }: Route): Json[] => {
  if (!query) return [];
  const { properties = {}, required = [] } = z.toJSONSchema(query, { io: "input", unrepresentable: "any" });
  return Object.entries(properties).map(([name, schema]) => ({
    name,
    in: "query",
    required: required.includes(name),
    schema,
  }));
};

const ifMatchParameter = ({ ifMatch }: Route): Json[] =>
  ifMatch ? [{ name: "If-Match", in: "header", required: ifMatch === "required", schema: { type: "string" } }] : [];

const codes = Object.keys(problems) as ProblemCode[];

const problemSchema: Json = {
  type: "object",
  required: ["type", "title", "status", "code", "retryable", "correlationId"],
  properties: {
    type: { type: "string", format: "uri" },
    title: { type: "string" },
    status: { type: "integer" },
    code: { type: "string", enum: codes },
    field: { type: "string" },
    detail: { type: "string" },
    advice: { type: "string" },
    lines: {
      type: "array",
      items: {
        type: "object",
        required: ["line", "detail"],
        properties: { line: { type: "integer" }, detail: { type: "string" } },
      },
    },
    snapshot: { type: "string" },
    retryable: { type: "boolean" },
    correlationId: { type: "string" },
  },
};

const problemList = (): Json =>
  Object.fromEntries(
    codes.map((code) => [code, { status: statuses[problems[code].kind], title: problems[code].title }]),
  );
