/**
 * The reference page of the setup: static and for anybody. What it can do is decided by the access token that the product sends it
 * or somebody enters, which it keeps in memory and sends to this API only.
 */
import { readFileSync } from "node:fs";
import type { HttpHandler } from "@azure/functions";
import type { Edge } from "./edge/http.ts";
import { type Html, html, page, wrongVerb } from "./edge/page.ts";
import { type LimitedCases, perAddress } from "./edge/per-address.ts";
import { asAppError, logProblem } from "./edge/problem.ts";
import type { HttpFunction } from "./register.ts";

export interface SetupCases {
  edge: Pick<Edge, "corsOrigins">;
}

/** Plain scripts, as the browser gets them; the build lays them beside the bundle, where they are found by the same names. */
const parts = ["forms", "client", "controls", "page"].map((name) => new URL(`./setup/${name}.js`, import.meta.url));
let script: string | undefined;
const setupScript = (): string =>
  (script ??= `"use strict";\n${parts.map((part) => `{\n${readFileSync(part, "utf8")}}\n`).join("")}`);

export const setupPage =
  (cases: () => SetupCases): HttpHandler =>
  async ({ method }, context) => {
    if (method !== "GET") return wrongVerb(["GET"]);
    try {
      const body = setupBody([...cases().edge.corsOrigins]);
      return page({ status: 200, title: "Directory sync: setup", body, script: setupScript() });
    } catch (error) {
      logProblem(context, "setup-page", asAppError(error), { correlationId: context.invocationId });
      const body = html`<p>Please try again later.</p><p><small>Reference: ${context.invocationId}</small></p>`;
      return page({ status: 500, title: "Something went wrong on our side.", body });
    }
  };

/** Pages that may call the API are those that may send this one a token. */
const setupBody = (origins: readonly string[]): Html => html`
<p id="status" role="status" aria-live="polite"></p>
<main id="setup" data-origins="${JSON.stringify(origins)}"></main>
<noscript>This page needs its script.</noscript>`;

export const setupFunctions = (cases: () => SetupCases & LimitedCases): HttpFunction[] => [
  { name: "setup", route: "setup", handler: perAddress(cases, setupPage(cases)) },
];
