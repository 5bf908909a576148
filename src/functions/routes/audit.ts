/** The change log and the access log for those who check. */
import { z } from "zod";
import { AccessPage, AccessSearch, accessFilter } from "../../core/views/access-trail.ts";
import { AuditPage, AuditSearch, auditFilter, timeFilter } from "../../core/views/audit.ts";
import { ExportPart, exportQuery } from "../../core/views/audit-export.ts";
import { Verification } from "../../core/views/audit-verify.ts";
import type { Route } from "../route.ts";

import { exportMediaTypes, one, Paged, page, whole } from "./parts.ts";

const exported = {
  method: "GET",
  permission: "audit:read",
  cost: "live",
  personal: true,
  query: z.strictObject({ ...exportQuery, cursor: page.cursor, limit: whole(1, 1000).default(1000) }),
  paged: true,
  file: exportMediaTypes,
  status: 200,
  answer: ExportPart,
} as const;

export const auditRoutes = {
  "audit.list": {
    method: "GET",
    path: `${one}/audit`,
    summary: "Who did what on this connection, from where and when, with every field before and after; newest first.",
    permission: "audit:read",
    personal: true,
    query: z.strictObject({ ...page, ...auditFilter }),
    paged: true,
    status: 200,
    answer: AuditPage,
  },
  "audit.search": {
    method: "POST",
    path: `${one}/audit/search`,
    summary:
      "The same for who or which address did it, which no address of a request may name; the filter is the body.",
    permission: "audit:read",
    cost: "read",
    personal: true,
    query: Paged,
    body: AuditSearch,
    paged: true,
    status: 200,
    answer: AuditPage,
  },
  "audit.export": {
    ...exported,
    path: `${one}/audit/export`,
    summary: "The same as a file, oldest first, part by part: `format` is `csv` or `jsonl`.",
  },
  "audit.verify": {
    method: "GET",
    path: `${one}/audit/verify`,
    summary:
      "Whether the log of a time is as it was recorded, by its chain and the anchors in the vault; names the first bad entry.",
    permission: "audit:read",
    cost: "live",
    personal: false,
    query: z.strictObject({ ...timeFilter, cursor: page.cursor, limit: whole(1, 2000).default(2000) }),
    paged: true,
    status: 200,
    answer: Verification,
  },
  "access.list": {
    method: "GET",
    path: "api/v1/audit",
    summary: "Who read what in this workspace, who was refused, which connections came and went; newest first.",
    permission: "audit:read",
    personal: true,
    query: z.strictObject({ ...page, ...accessFilter }),
    paged: true,
    status: 200,
    answer: AccessPage,
  },
  "access.search": {
    method: "POST",
    path: "api/v1/audit/search",
    summary:
      "The same for who or which address it was, which no address of a request may name; the filter is the body.",
    permission: "audit:read",
    cost: "read",
    personal: true,
    query: Paged,
    body: AccessSearch,
    paged: true,
    status: 200,
    answer: AccessPage,
  },
  "access.export": {
    ...exported,
    path: "api/v1/audit/export",
    summary: "The same as a file, part by part: `format` is `csv` or `jsonl`.",
  },
} as const satisfies Record<string, Route>;
