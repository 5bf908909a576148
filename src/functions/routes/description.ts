/** What the API and its events look like. */
import { z } from "zod";
import type { Route } from "../route.ts";

export const descriptionRoutes = {
  "events.read": {
    method: "GET",
    path: "api/v1/events.json",
    summary: "The form of every event of the change feed, as JSON Schema.",
    permission: null,
    personal: false,
    status: 200,
    answer: z.record(z.string(), z.unknown()),
  },
  "openapi.read": {
    method: "GET",
    path: "api/v1/openapi.json",
    summary: "This document.",
    permission: null,
    personal: false,
    status: 200,
    answer: z.record(z.string(), z.unknown()),
  },
} as const satisfies Record<string, Route>;
