/** A synchronised tenant whose keys are real: a ring in its document, the connection key in a vault in memory. */
import { handshakeStore } from "../../../src/adapters/cosmos/handshake-store.ts";
import { iso } from "../../../src/core/ambient.ts";
import { replaceBlacklist } from "../../../src/core/connections/change-blacklist.ts";
import { settingsEtag } from "../../../src/core/connections/change-settings.ts";
import { changeProductGroups } from "../../../src/core/connections/product-groups.ts";
import { changeSecurity, showSecurity } from "../../../src/core/connections/security.ts";
import { administratorPlace } from "../../../src/core/consent/proof.ts";
import type { ConnectionContext } from "../../../src/core/context.ts";
import type { KeyRing } from "../../../src/core/crypto/key-ring.ts";
import { type Keys, makeKeys } from "../../../src/core/crypto/keys.ts";
import { seal } from "../../../src/core/crypto/seal.ts";
import type { CareNeeds } from "../../../src/core/keys/care.ts";
import { targetPlace } from "../../../src/core/operations/record.ts";
import { ids, type RingDoc } from "../../../src/core/store/documents.ts";
import { linkProductUser } from "../../../src/core/views/link-product-user.ts";
import { type MemorySecrets, memorySecrets } from "../../support/memory-secrets.ts";
import { crewFor } from "../crew.ts";
import { caller, openScene, type Scene } from "../views-stage.ts";

export const officer = caller(
  "integration:setup",
  "integration:secure",
  "integration:sync",
  "integration:read",
  "directory:read",
  "audit:read",
  "privacy:manage",
);

/** An instance of the app: keys in its memory, for as long as they stay there. */
export interface Instance extends Omit<CareNeeds, "keys"> {
  keys: Keys;
  hints: Scene["needs"]["hints"];
  consumers: Scene["needs"]["consumers"];
  wait: Scene["needs"]["wait"];
}

export interface KeysScene extends Scene {
  secrets: MemorySecrets;
  instance(over?: Partial<CareNeeds>): Instance;
  /** The context that a new instance would work with. */
  contextNow(): Promise<ConnectionContext>;
  ring(): Promise<RingDoc>;
  documents(): Promise<Record<string, unknown>[]>;
  /** Object ids of those who were added to the tenant. */
  crew: string[];
}

const rawRing = ({ sealing, wrapping, index }: KeyRing) => {
  const text = (key: KeyRing["index"]) => key.export().toString("base64url");
  return { id: sealing.id.slice(2), sealing: text(sealing.key), wrapping: text(wrapping.key), index: text(index) };
};

export const openKeysScene = async (people: number): Promise<KeysScene> => {
  const scene = await openScene();
  const { stage, connectionId, context } = scene;
  const { ambient, store } = stage;
  const crew = crewFor(scene, people);
  await stage.sync(connectionId);

  const secrets = memorySecrets();
  const handshakes = handshakeStore(stage.handles.handshakes);
  const instance = (over: Partial<CareNeeds> = {}): Instance => {
    const { hints, consumers, wait } = scene.needs;
    const needs = { ambient, store, secrets, handshakes, ...over };
    const times = { rotationMilliseconds: 365 * 86_400_000, sliceMilliseconds: 60_000, ...over };
    return { ...needs, ...times, keys: makeKeys(needs), hints, consumers, wait };
  };
  const { keys } = instance();
  const { wrapping } = keys;
  const content = { ...rawRing(context.ring), connectionKey: Buffer.alloc(32, 7).toString("base64url") };
  await scene.put(await wrapping.promote(await wrapping.wrapDraft(connectionId, content)));
  stage.needs.contextFor = async (doc) => ({ ...context, settings: doc.settings, ring: await keys.ring(connectionId) });

  return {
    ...scene,
    secrets,
    crew,
    instance,
    contextNow: async () => ({ ...context, ring: await instance().keys.ring(connectionId) }),
    ring: async () => {
      const ring = await store.read(connectionId, "ring", ids.ring);
      if (!ring) throw new Error("there is no ring");
      return ring;
    },
    documents: async () => {
      const query = stage.handles.directory.items.query<Record<string, unknown>>("SELECT * FROM c", {
        partitionKey: connectionId,
      });
      return (await query.fetchAll()).resources;
    },
  };
};

/** Lets the connection hold something of every kind that its ring seals. */
export const furnish = async (scene: KeysScene): Promise<void> => {
  const needs = scene.instance();
  const { connectionId } = scene;
  const doc = await scene.stage.store.read(connectionId, "connection", ids.connection);
  if (!doc) throw new Error("there is no connection");
  await replaceBlacklist(needs)(officer, connectionId, settingsEtag(doc), { entries: ["nobody@t1.example"] });
  await changeProductGroups(needs)(officer, connectionId, undefined, { items: [{ id: "sales", name: "Sales" }] });
  const { etag: rights } = await showSecurity(needs)(officer, connectionId);
  await changeSecurity(needs)(officer, connectionId, rights, {
    grants: [{ subject: { kind: "person", id: "ada" }, permissions: [...officer.permissions] }],
  });
  const [first = ""] = scene.crew;
  await linkProductUser(needs)(officer, connectionId, scene.id(first), undefined, { productUserId: "p-1" });
  const { ring } = await scene.contextNow();
  const { ambient } = scene.stage;
  const at = iso(ambient.now());
  const id = ambient.ulid();
  await scene.put(
    {
      id: ids.proof("read"),
      kind: "proof",
      connectionId,
      v: 1,
      tier: "read",
      tid: scene.tid,
      clientId: "c",
      roles: [],
      provenAt: at,
      administrator: seal(ambient, ring.sealing, administratorPlace(connectionId, "read"), {
        oid: scene.people.chief,
        name: "chief",
        userPrincipalName: "chief@t1.example",
      }),
    },
    {
      id: ids.operation(id),
      kind: "operation",
      connectionId,
      v: 1,
      name: "some-operation",
      about: {},
      target: seal(ambient, ring.sealing, targetPlace(connectionId, id), { what: "is found out later" }),
      begunAt: at,
      checkAt: ambient.now() + 10 * 365 * 86_400_000,
      checks: 0,
    },
  );
  await scene.stage.settle(connectionId);
};
