/** A synchronised tenant with people to erase, a vault in memory, and the use-cases of privacy on it. */
import type { AccessRecord } from "../../../src/core/audit/access-log.ts";
import { chainStart, entriesOf, verifyChain } from "../../../src/core/audit/change-log.ts";
import type { EntryDraft } from "../../../src/core/audit/entries.ts";
import { switchPerson } from "../../../src/core/directory/switch-person.ts";
import { type ErasePersonNeeds, erasePerson } from "../../../src/core/privacy/erase-person.ts";
import { exportPerson } from "../../../src/core/privacy/export-person.ts";
import { ledgerName } from "../../../src/core/privacy/ledger.ts";
import { finishErasing, settleErasures } from "../../../src/core/privacy/settle.ts";
import { ids } from "../../../src/core/store/documents.ts";
import { held, readLog } from "../../support/held.ts";
import { type MemorySecrets, memorySecrets } from "../../support/memory-secrets.ts";
import { crewFor } from "../crew.ts";
import { caller, openScene, type Scene } from "../views-stage.ts";

export const officer = caller("privacy:manage");

export interface PrivacyScene extends Scene {
  needsOf: ErasePersonNeeds;
  secrets: MemorySecrets;
  recorded: AccessRecord[];
  /** Object ids of people who are synchronised, in both groups. */
  crew: string[];
  erase(personId: string, needs?: ErasePersonNeeds, ref?: string): ReturnType<ReturnType<typeof erasePerson>>;
  export: ReturnType<typeof exportPerson>;
  settle(): Promise<void>;
  switchOn(oid: string, ref: string): ReturnType<ReturnType<typeof switchPerson>>;
  person(personId: string): ReturnType<Scene["stage"]["store"]["read"]>;
  told(personId: string): Promise<(EntryDraft & { sequence: number })[]>;
  /** What is left of a person; throws when the chain of the log does not hold. */
  remains(personId: string): Promise<unknown>;
  /** Every document of the connection. */
  documents(): Promise<Record<string, unknown>[]>;
  /** Puts the database back to what it was. */
  putBack(documents: Record<string, unknown>[]): Promise<void>;
}

export const openPrivacyScene = async (people: number): Promise<PrivacyScene> => {
  const scene = await openScene();
  const { stage, connectionId } = scene;
  const crew = crewFor(scene, people);
  const { outer, inner } = scene.groups;
  for (const groupId of [outer, inner])
    scene.mutate(...crew.map((memberId) => ({ op: "add-member", groupId, memberId, memberType: "user" }) as const));
  await stage.sync(connectionId);

  const secrets = memorySecrets();
  const recorded: AccessRecord[] = [];
  const { ambient, store, work, hints } = stage.needs;
  const needsOf: ErasePersonNeeds = {
    ambient,
    store,
    work,
    hints,
    secrets,
    keys: scene.needs.keys,
    access: { record: async (_workspace, record) => void recorded.push(record) },
  };
  stage.needs = { ...stage.needs, finishErasing: finishErasing(needsOf) };
  const items = stage.handles.directory.items;
  const documents: PrivacyScene["documents"] = async () =>
    (await items.query<Record<string, unknown>>("SELECT * FROM c", { partitionKey: connectionId }).fetchAll())
      .resources;

  return {
    ...scene,
    needsOf,
    secrets,
    recorded,
    crew,
    documents,
    erase: (personId, needs = needsOf, ref) =>
      erasePerson(needs)(officer, connectionId, personId, { person: personId, ...(ref === undefined ? {} : { ref }) }),
    export: exportPerson(scene.needs),
    settle: () => settleErasures(needsOf)(connectionId),
    switchOn: (oid, ref) =>
      switchPerson({ ...scene.needs, search: stage.search, source: stage.needs.source })(
        caller("integration:sync"),
        connectionId,
        scene.id(oid),
        { enabled: true, ref },
      ),
    person: (personId) => store.read(connectionId, "person", ids.person(personId)),
    told: async (personId) =>
      (await readLog(store, connectionId)).flatMap(entriesOf).filter(({ object }) => object === personId),
    remains: async (personId) => {
      const log = await readLog(store, connectionId);
      const { fault } = verifyChain(log, { sequence: 0, chain: chainStart(connectionId) });
      if (fault) throw new Error(`chain broken at ${fault.sequence}`);
      await held(store, scene.context);
      const person = await store.read(connectionId, "person", ids.person(personId));
      const head = await scene.head();
      return {
        state: person?.state ?? null,
        key: person?.key ?? null,
        record: person?.record ?? null,
        link: person?.productUser ?? null,
        indexes: [person?.mailIndex ?? null, person?.upnIndex ?? null],
        marker: (await store.read(connectionId, "marker", ids.marker(personId)))?.marker ?? null,
        groups: await store.groupsOf(connectionId, personId),
        erasures: log.flatMap(entriesOf).filter(({ op, object }) => op === "erased" && object === personId).length,
        inLedger: (secrets.values.get(ledgerName(connectionId)) ?? "").includes(personId),
        underWay: head.erasing !== undefined,
      };
    },
    putBack: async (before) => {
      for (const { id } of await documents()) await stage.handles.directory.item(String(id), connectionId).delete();
      for (const { _rid, _self, _etag, _attachments, _ts, ...document } of before) await items.create(document);
    },
  };
};

/** Of somebody who was erased, whoever it was. */
export const nothing = {
  state: "erased",
  key: null,
  record: null,
  link: null,
  indexes: [null, null],
  marker: "erased",
  groups: [],
  erasures: 1,
  inLedger: true,
  underWay: false,
};
