/**
 * Where all parts come together (those that speak to Microsoft by way of `composition/microsoft.ts`): builds the use-cases from the
 * settings by plain calls, once, on first use. A fault in the settings is then a plain 500 whose log names them, and not an app
 * without functions.
 */
import { setTimeout as pause } from "node:timers/promises";
import { ManagedIdentityCredential } from "@azure/identity";
import { monotonicFactory } from "ulid";
import { accessStore } from "./adapters/cosmos/access-store.ts";
import { openCosmos } from "./adapters/cosmos/client.ts";
import { connectionIndex } from "./adapters/cosmos/connection-index.ts";
import { consumerStore } from "./adapters/cosmos/consumer-store.ts";
import { directoryStore } from "./adapters/cosmos/directory-store.ts";
import { handshakeStore } from "./adapters/cosmos/handshake-store.ts";
import { mailJobStore } from "./adapters/cosmos/mail-job-store.ts";
import { sharedStore } from "./adapters/cosmos/shared-store.ts";
import { subscriptionLedger } from "./adapters/cosmos/subscription-ledger.ts";
import { tenantIndex } from "./adapters/cosmos/tenant-index.ts";
import { webhookStore } from "./adapters/cosmos/webhook-store.ts";
import { workStore } from "./adapters/cosmos/work-store.ts";
import { tiersWithoutCertificate } from "./adapters/entra/certificate.ts";
import { secretStore } from "./adapters/key-vault/secret-store.ts";
import { smtpServer } from "./adapters/mail/smtp.ts";
import { queueAccount } from "./adapters/storage-queue/account.ts";
import { hintQueue } from "./adapters/storage-queue/hint-queue.ts";
import { tendingQueue } from "./adapters/storage-queue/tending-queue.ts";
import { httpsSender } from "./adapters/webhooks/https-sender.ts";
import { connectMicrosoft } from "./composition/microsoft.ts";
import { type Config, configFromEnvironment } from "./config.ts";
import { rateLimiter } from "./core/access/rate-limits.ts";
import { requireRecentSignIn } from "./core/access/recent-sign-in.ts";
import type { Ambient } from "./core/ambient.ts";
import { type AccessLog, type AccessTrail, makeAccessLog } from "./core/audit/access-log.ts";
import { writeAnchor } from "./core/audit/anchors.ts";
import { readBlacklist, replaceBlacklist, uploadBlacklist } from "./core/connections/change-blacklist.ts";
import { changeSettings, readSettings } from "./core/connections/change-settings.ts";
import { closeConnection, restoreConnection } from "./core/connections/close.ts";
import { createConnection } from "./core/connections/create.ts";
import { finishClosing } from "./core/connections/finish-closing.ts";
import { contextFor } from "./core/connections/open.ts";
import { changeProductGroups, listProductGroups } from "./core/connections/product-groups.ts";
import { listConnections, readConnection } from "./core/connections/read.ts";
import { callerOn, changeSecurity, showSecurity } from "./core/connections/security.ts";
import { listSettingsVersions, readSettingsVersion, restoreSettings } from "./core/connections/settings-versions.ts";
import type { Tier } from "./core/connections/tiers.ts";
import { updateConnection } from "./core/connections/update.ts";
import { consentCallback } from "./core/consent/approve.ts";
import { completeConsent } from "./core/consent/complete.ts";
import { continueConnect, showConnect } from "./core/consent/connect.ts";
import { reviewTiers } from "./core/consent/review.ts";
import { showPermissions } from "./core/consent/show-permissions.ts";
import { signInCallback } from "./core/consent/sign-in.ts";
import { startConsent } from "./core/consent/start.ts";
import { makeKeys } from "./core/crypto/keys.ts";
import { pooledRandomBytes, randomFraction } from "./core/crypto/random-bytes.ts";
import type { WorkerNeeds } from "./core/directory/run/round.ts";
import { type Worked, work } from "./core/directory/run/worker.ts";
import { selfTest } from "./core/directory/self-test.ts";
import { switchPerson } from "./core/directory/switch-person.ts";
import { wake } from "./core/directory/wake.ts";
import { AppError } from "./core/errors.ts";
import { acknowledgeChanges, listConsumers, removeConsumer } from "./core/feed/consumers.ts";
import { deliveryQueue } from "./core/jobs.ts";
import { careForKeys } from "./core/keys/care.ts";
import { rekeyConnection, rotateKeys, showKeys } from "./core/keys/manage.ts";
import { type Delivered, deliverMail } from "./core/mail/deliver.ts";
import { wakeMails } from "./core/mail/wake.ts";
import { notifications, withoutNotifications } from "./core/notifications/notifications.ts";
import { type Catalogue, resolveOperations } from "./core/operations/resolve.ts";
import { erasePerson } from "./core/privacy/erase-person.ts";
import { exportPerson } from "./core/privacy/export-person.ts";
import { readPrivacyRecord } from "./core/privacy/record.ts";
import { finishErasing, settleErasures } from "./core/privacy/settle.ts";
import { authorize } from "./core/sso/authorize.ts";
import { chooseConnection, microsoftCallback } from "./core/sso/callback.ts";
import { exchangeCode, userInfo } from "./core/sso/exchange.ts";
import { linkSignedIn } from "./core/sso/link.ts";
import { listing } from "./core/sso/listing.ts";
import { logout } from "./core/sso/logout.ts";
import { signingKeys } from "./core/sso/signing-keys.ts";
import { ids } from "./core/store/documents.ts";
import type { Hint } from "./core/store/ports.ts";
import { readAccess } from "./core/views/access-trail.ts";
import { listAttributes } from "./core/views/attributes-list.ts";
import { readAudit } from "./core/views/audit.ts";
import { exportAccess, exportAudit } from "./core/views/audit-export.ts";
import { verifyAudit, verifyStored } from "./core/views/audit-verify.ts";
import { readChanges } from "./core/views/changes.ts";
import { explainPerson } from "./core/views/explain-person.ts";
import { listGroups, listMembers, readGroup } from "./core/views/groups.ts";
import { linkProductUser } from "./core/views/link-product-user.ts";
import { linkProductUsers } from "./core/views/link-product-users.ts";
import { matchProductUsers } from "./core/views/match-product-users.ts";
import { listPeople, readPerson } from "./core/views/people.ts";
import { readPlan } from "./core/views/plan.ts";
import { resendMail } from "./core/views/resend-mail.ts";
import { approveRun, cancelRun, listRuns, readRun, requestImpact, requestRun } from "./core/views/runs.ts";
import { searchGroups } from "./core/views/search-groups.ts";
import { searchPeople } from "./core/views/search-people.ts";
import { readSnapshot } from "./core/views/snapshot.ts";
import { testConnection } from "./core/views/test-connection.ts";
import { deliver } from "./core/webhooks/deliver.ts";
import { hintDelivery, telling, wakeDeliveries } from "./core/webhooks/hints.ts";
import { listWebhooks, replayWebhook, testWebhook } from "./core/webhooks/views.ts";
import { finishSetup, markStep, readSetup, resetSetup } from "./core/wizard/progress.ts";
import { callerVerifier } from "./functions/edge/caller.ts";
import { clientIp, type HeaderSource } from "./functions/edge/client-ip.ts";
import { sealedCursors } from "./functions/edge/cursor.ts";
import type { Edge } from "./functions/edge/http.ts";
import { ssoClientVerifier } from "./functions/edge/sso-client.ts";

export type UseCases = ReturnType<typeof compose>;

let built: UseCases | undefined;

export const useCases = (): UseCases => (built ??= compose(configFromEnvironment()));

/** `now` is for tests; the clock of the machine otherwise. */
export const compose = (config: Config, now: () => number = Date.now) => {
  const randomBytes = pooledRandomBytes();
  const newUlid = monotonicFactory(randomFraction(randomBytes));
  const ambient: Ambient = {
    now,
    randomBytes,
    ulid: () => newUlid(now()).toLowerCase(),
    logDays: config.logDays,
  };
  const identity = new ManagedIdentityCredential(
    config.identityClientId === undefined ? {} : { clientId: config.identityClientId },
  );
  const { endpoint, database, key } = config.cosmos;
  const cosmos = openCosmos({ endpoint, database, ...(key === undefined ? { credential: identity } : { key }) });
  const store = directoryStore(cosmos.directory);
  const index = connectionIndex(cosmos.connections);
  const handshakes = handshakeStore(cosmos.handshakes);
  const consumers = consumerStore(cosmos.state);
  const webhooks = webhookStore(cosmos.state);
  const secrets = secretStore({
    url: config.keyVault.url,
    credential: identity,
    now,
    ...(config.keyVault.isLocal ? { disableChallengeResourceVerification: true } : {}),
  });
  const queue = queueAccount(config.queue);
  const hints = hintQueue(queue);
  const deliveries = hintQueue(queue, deliveryQueue);

  const parts = workStore(cosmos.work);
  const erasing = { ambient, store, secrets, work: parts };
  const keys = makeKeys({
    ambient,
    secrets,
    store,
    handshakes,
    settle: (id) => settleErasures({ ...erasing, access })(id),
  });
  const access: AccessLog & AccessTrail = makeAccessLog({ ambient, keys, store: accessStore(cosmos.access) });

  const microsoft = connectMicrosoft(config, sharedStore(cosmos.shared), now);
  const { registrations } = config.entra;
  const { source, search, gateway } = microsoft;

  const mails = { jobs: mailJobStore(cosmos.state, now), hints };
  const mailing = config.mail && {
    wake: wakeMails({ ambient, ...mails }),
    deliver: deliverMail({
      ambient,
      store,
      jobs: mails.jobs,
      server: smtpServer(config.mail),
      recipients: microsoft.recipients,
      contextFor: contextFor({ keys }),
      productUrl: config.mail.productUrl,
    }),
  };

  const always = { ambient, store, index, keys, access, handshakes, consumers, hints, gateway, source, search, wait };
  const ledger = subscriptionLedger(cosmos.shared);
  const needs = { ...always, ledger, ...(config.mail ? { mails } : {}) };
  const { sliceMilliseconds } = config.sync;
  const keyNeeds = { ...always, secrets, rotationMilliseconds: config.keyRotationMilliseconds, sliceMilliseconds };
  const offers = (tier: Tier): boolean => registrations[tier] !== undefined;
  const setUp = { ...needs, offers };
  const consent = { ...needs, publicBaseUrl: config.publicBaseUrl, returnOrigins: config.returnOrigins };
  const { endpoints, allowLoopback } = config.webhooks;
  const tell = { ...needs, webhooks, deliveries, endpoints, sender: httpsSender({ allowLoopback }) };
  const hintChange = hintDelivery(tell);
  const told = telling(hintChange);
  const news =
    config.notificationKeys &&
    notifications({
      ...needs,
      tending: tendingQueue(queue),
      subscriptions: microsoft.subscriptions,
      keys: config.notificationKeys,
      clientId: microsoft.clientId,
      notificationUrl: microsoft.notificationUrl,
    });
  const close = finishClosing({ ...needs, ...config.sync, webhooks });
  const worker: WorkerNeeds = {
    ...needs,
    ...config.sync,
    work: parts,
    contextFor: contextFor(needs),
    selfTest: selfTest(needs),
    finishErasing: finishErasing(erasing),
    reviewTiers: reviewTiers({ ...needs, contextFor: contextFor(needs) }),
    ...(news ? { enlist: news.enlist } : {}),
    finishClosing: async (doc, head) => {
      const outcome = await close(doc, head);
      if (outcome === "more") await hints.send({ connectionId: doc.connectionId, receivedAt: now() });
    },
  };

  const tenants = tenantIndex(cosmos.shared);
  const listed = listing({ tenants });
  const signing = signingKeys({ ambient, secrets, handshakes });
  const { ssoClients } = config;
  const { signIns } = microsoft;
  const sso = { ...needs, signIns, signing, tenants, ssoClients, hintChange, issuer: config.publicBaseUrl, now };

  const workOnHint = work(worker);
  const wakeDue = wake(needs);

  const edge: Edge = {
    verifyCaller: callerVerifier(config.tokenIssuers, now, config.machineClients),
    callerOn: callerOn(needs),
    limits: rateLimiter(config.rateLimits, now),
    requireRecentSignIn: (caller) => requireRecentSignIn(caller, config.stepUp, now()),
    clientIp: (headers) => clientIp(config.clientIpFrom, headers),
    access,
    cursors: sealedCursors(ambient, keys),
    corsOrigins: new Set(config.corsOrigins),
  };

  return {
    edge,
    publicBaseUrl: config.publicBaseUrl,
    clientIp: (headers: HeaderSource) => clientIp(config.clientIpFrom, headers),
    checkHealth: remembered(now, async () => {
      await Promise.all([keys.platform(), store.read(noConnection, "head", ids.head)]);
      const certificates = await microsoft.certificates();
      const expired = tiersWithoutCertificate(certificates).length > 0 ? new AppError("credential-expired") : null;
      const heard = !news ? "off" : (await news.isAnyOverdue()) ? "overdue" : "on";
      return {
        notifications: heard,
        certificates,
        fault: microsoft.isCredentialRejected() ? new AppError("credential-rejected") : expired,
      };
    }),
    certificateStates: microsoft.certificates,
    publisherAppIds: config.publisherAppIds,
    securityContact: config.securityContact,
    now,

    createConnection: createConnection(setUp),
    listConnections: listConnections(needs),
    readConnection: readConnection(needs),
    updateConnection: listed(told(updateConnection(setUp)), (view) => view),
    closeConnection: closeConnection(needs),
    restoreConnection: restoreConnection(needs),
    testConnection: listed(testConnection(needs), ({ connection }) => connection),
    showPermissions: showPermissions(needs),
    showSecurity: showSecurity(needs),
    changeSecurity: told(changeSecurity(needs)),
    showKeys: showKeys(keyNeeds),
    rotateKeys: told(rotateKeys(keyNeeds)),
    rekeyConnection: told(rekeyConnection(keyNeeds)),
    careForKeys: careForKeys(keyNeeds),
    readSettings: readSettings(needs),
    changeSettings: told(changeSettings(needs)),
    listSettingsVersions: listSettingsVersions(needs),
    readSettingsVersion: readSettingsVersion(needs),
    restoreSettings: told(restoreSettings(needs)),
    readBlacklist: readBlacklist(needs),
    replaceBlacklist: told(replaceBlacklist(needs)),
    uploadBlacklist: told(uploadBlacklist(needs)),
    listProductGroups: listProductGroups(needs),
    changeProductGroups: told(changeProductGroups(needs)),
    readSetup: readSetup(needs),
    markStep: markStep(needs),
    finishSetup: told(finishSetup(needs)),
    resetSetup: told(resetSetup(needs)),

    startConsent: startConsent(consent),
    showConnect: showConnect(consent),
    continueConnect: continueConnect(consent),
    signInCallback: signInCallback(consent),
    consentCallback: consentCallback(consent),
    completeConsent: listed(completeConsent(consent), (view) => view),

    sso:
      ssoClients.length === 0 || !offers("signIn")
        ? null
        : {
            authorize: authorize(sso),
            callback: microsoftCallback(sso),
            choose: chooseConnection(sso),
            verifyClient: ssoClientVerifier(sso),
            exchange: exchangeCode(sso),
            userInfo: userInfo(sso),
            link: linkSignedIn(sso),
            logout: logout(sso),
            keys: () => signing.published(),
          },

    requestRun: requestRun(needs),
    requestImpact: requestImpact(needs),
    switchPerson: told(switchPerson(needs)),
    exportPerson: exportPerson(needs),
    erasePerson: told(erasePerson({ ...needs, ...erasing })),
    readPrivacyRecord: readPrivacyRecord(needs),
    approveRun: approveRun(needs),
    cancelRun: cancelRun(needs),
    resendMail: resendMail(needs),
    listRuns: listRuns(needs),
    readRun: readRun(needs),
    readPlan: readPlan({ ...needs, work: parts }),
    listPeople: listPeople(needs),
    readPerson: readPerson(needs),
    searchPeople: searchPeople(needs),
    explainPerson: explainPerson(needs),
    linkProductUser: told(linkProductUser(needs)),
    linkProductUsers: told(linkProductUsers(needs)),
    matchProductUsers: matchProductUsers(needs),
    listGroups: listGroups(needs),
    readGroup: readGroup(needs),
    searchGroups: searchGroups(needs),
    listAttributes: listAttributes(needs),
    listMembers: listMembers(needs),
    readChanges: readChanges(needs),
    acknowledgeChanges: acknowledgeChanges(needs),
    listConsumers: listConsumers(needs),
    removeConsumer: removeConsumer(needs),
    readSnapshot: readSnapshot(needs),
    readAudit: readAudit(needs),
    exportAudit: exportAudit({ ...needs, secrets }),
    verifyAudit: verifyAudit({ ...needs, secrets }),
    /** For the command line: without a caller. */
    verifyStoredLog: verifyStored({ ambient, secrets, store }),
    readAccess: readAccess(needs),
    exportAccess: exportAccess(needs),
    writeAnchor: writeAnchor({ ambient, secrets, store }),
    resolveOperations: resolveOperations({ ...needs, contextFor: contextFor(needs) }, operations),

    wake: async (): Promise<number> => (await wakeDue()) + ((await mailing?.wake()) ?? 0),
    work: async (hint: Hint): Promise<Worked | Delivered> => {
      if (hint.mail !== undefined && mailing)
        return await mailing.deliver({ connectionId: hint.connectionId, runId: hint.mail });
      const outcome = await workOnHint(hint);
      if (outcome === "done") await hintChange(hint.connectionId);
      return outcome;
    },
    ...(news ?? withoutNotifications),
    wakeDeliveries: wakeDeliveries(tell),
    deliver: deliver(tell),
    listWebhooks: listWebhooks(tell),
    testWebhook: testWebhook(tell),
    replayWebhook: replayWebhook(tell),

    /** Releases the sockets; for tests, a function app lives as long as its process. */
    dispose: () => cosmos.dispose(),
  };
};

const wait = (milliseconds: number): Promise<void> => pause(milliseconds);

/** What can be done in Microsoft 365: nothing yet. */
const operations: Catalogue = [];

/** An id that no connection has: reading it proves that the database answers. */
const noConnection = "0".repeat(26);
const healthMilliseconds = 5000;

/** Asked by anybody, so the services behind are asked at most once in a while. */
const remembered = <T>(now: () => number, check: () => Promise<T>): (() => Promise<T>) => {
  let last: { at: number; result: Promise<T> } | undefined;
  return () => {
    if (!last || now() - last.at >= healthMilliseconds) last = { at: now(), result: check() };
    return last.result;
  };
};
