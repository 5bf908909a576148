/** People to do something with, beside those of the scene. */
import { randomUUID } from "node:crypto";
import type { Scene } from "./views-stage.ts";

/** Puts so many into the tenant, under its chief, and names their object ids. */
export const crewFor = ({ mutate, people }: Pick<Scene, "mutate" | "people">, count: number): string[] => {
  const crew = Array.from({ length: count }, () => randomUUID());
  const users = crew.map((id, n) => ({
    id,
    managerId: people.chief,
    properties: {
      displayName: `Sailor ${n}`,
      mail: `sailor${n}@t1.example`,
      userPrincipalName: `sailor${n}@t1.example`,
      accountEnabled: true,
      userType: "Member",
    },
  }));
  mutate(...users.map((user) => ({ op: "create-user", user }) as const));
  return crew;
};
