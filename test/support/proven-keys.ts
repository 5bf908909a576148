/** What an administrator's approval does to the keys of a connection that was laid down without one. */
import { ManagedIdentityCredential } from "@azure/identity";
import type { CosmosHandles } from "../../src/adapters/cosmos/client.ts";
import { directoryStore } from "../../src/adapters/cosmos/directory-store.ts";
import { handshakeStore } from "../../src/adapters/cosmos/handshake-store.ts";
import { secretStore } from "../../src/adapters/key-vault/secret-store.ts";
import { type Keys, makeKeys } from "../../src/core/crypto/keys.ts";
import type { SecretStore } from "../../src/core/store/ports.ts";
import { makeAmbient } from "./sync-stage.ts";

export const secretsOf = (vaultUrl: string): SecretStore =>
  secretStore({
    url: vaultUrl,
    credential: new ManagedIdentityCredential({}),
    disableChallengeResourceVerification: true,
  });

/** Keys as another instance of the app would load them. */
export const proveKeys = async (vaultUrl: string, handles: CosmosHandles, connectionId: string): Promise<Keys> => {
  const store = directoryStore(handles.directory);
  const handshakes = handshakeStore(handles.handshakes);
  const keys = makeKeys({ ambient: makeAmbient(), secrets: secretsOf(vaultUrl), store, handshakes });
  const ring = await store.read(connectionId, "ring", "ring");
  if (!ring) throw new Error("there is no ring");
  const { _etag, ...doc } = ring;
  await handles.directory.items.upsert(await keys.promote(doc));
  return keys;
};
