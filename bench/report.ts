/** Results as tables in `docs/performance.md`, between `<!-- bench:<name> -->` and `<!-- /bench -->`; the words around them are ours. */
import type { ChosenResult } from "./chosen.ts";
import type { DeltaResult, RoundCost, Rounds } from "./delta.ts";
import type { FairnessCase, FairnessResult } from "./fairness.ts";
import type { ImportResult, Turn } from "./import.ts";
import type { KeysResult } from "./keys.ts";
import type { Attempt, MemoryResult } from "./memory.ts";
import type { NotificationResult, StormResult } from "./notifications.ts";

export interface Kept<R> {
  measuredAt: string;
  machine: { processor: string; cores: number; node: string };
  result: R;
}

export interface KeptResults {
  import?: Kept<ImportResult>;
  delta?: Kept<DeltaResult>;
  chosen?: Kept<ChosenResult>;
  memory?: Kept<MemoryResult>;
  fairness?: Kept<FairnessResult>;
  notifications?: Kept<NotificationResult>;
  keys?: Kept<KeysResult>;
}

export const withTables = (document: string, results: KeptResults): string => {
  const texts: Record<string, string | null> = {
    import: results.import ? stamped(results.import, importTables(results.import.result)) : null,
    delta: results.delta ? stamped(results.delta, roundsTable(results.delta.result.sizes)) : null,
    chosen: results.chosen ? stamped(results.chosen, chosenTables(results.chosen.result)) : null,
    memory: results.memory ? stamped(results.memory, memoryTable(results.memory.result)) : null,
    fairness: results.fairness ? stamped(results.fairness, fairnessTables(results.fairness.result)) : null,
    notifications: results.notifications
      ? stamped(results.notifications, notificationTables(results.notifications.result))
      : null,
    keys: results.keys ? stamped(results.keys, keysTable(results.keys.result, results.import?.result)) : null,
  };
  return document.replace(
    /(<!-- bench:(\w+) -->\n).*?(<!-- \/bench -->)/gs,
    (whole, start: string, name: string, end: string) => {
      const text = texts[name];
      return text ? `${start}\n${text}\n\n${end}` : whole;
    },
  );
};

const stamped = ({ measuredAt, machine }: Kept<unknown>, text: string): string =>
  `${text}\n\nMeasured ${measuredAt.slice(0, 10)} on ${machine.cores} cores of ${machine.processor}, Node ${machine.node}.`;

const table = (head: readonly string[], rows: readonly (readonly string[])[]): string =>
  [head, head.map(() => "---"), ...rows].map((cells) => `| ${cells.join(" | ")} |`).join("\n");

const whole = (value: number): string => Math.round(value).toLocaleString("en");
const fine = (value: number | null): string => (value === null ? "-" : value.toFixed(2));
const seconds = (milliseconds: number): string => (milliseconds / 1000).toFixed(1);
const percent = (part: number, all: number): string => `${Math.round((100 * part) / all)} %`;

const importTables = (result: ImportResult): string => {
  const { graphRequests, crypto, costs, turns, median } = result;
  const { floor, import: all, waited } = median;
  const parts: [string, Turn["import"]][] = [
    ["the same pages, fetched and parsed", floor.pages],
    ["as many ready documents in batches", floor.batches],
    [`${whole(crypto.seals)} seals, ${whole(crypto.opens)} openings, ${whole(crypto.macs)} keyed hashes`, floor.crypto],
  ];
  const bottom = floor.pages.wall + floor.batches.wall + floor.crypto.wall;
  const ratios = (of: keyof Turn["ratio"]): string => turns.map(({ ratio }) => fine(ratio[of])).join(", ");
  return [
    `${whole(result.people)} people, ${whole(result.groups)} groups, ${whole(result.memberships)} memberships, ${whole(graphRequests)} Graph requests. ` +
      "The turn in the middle:",
    table(
      ["", "seconds", "of the import", "seconds of processor, app", "and services"],
      [
        ...parts.map(([name, { wall, app, services }]) => [
          name,
          seconds(wall),
          percent(wall, all.wall),
          seconds(app),
          services === null ? "-" : seconds(services),
        ]),
        ["floor", seconds(bottom), percent(bottom, all.wall), "", ""],
        ["import", seconds(all.wall), "100 %", seconds(all.app), all.services === null ? "-" : seconds(all.services)],
      ],
    ),
    table(
      ["import divided by floor", "all turns"],
      [
        ["elapsed time", ratios("wall")],
        ["processor time of the app", ratios("app")],
        ["processor time of app, store and simulator", ratios("all")],
      ],
    ),
    `Requests of the import were under way for ${seconds(waited.graph)} s (Graph), ${seconds(waited.store)} s (store) and ` +
      `${seconds(waited.work)} s (staging); some of them at the same time as its own work.`,
    table(
      ["what an import writes", ""],
      [
        ["documents for each person, log and head included (goal 1.1)", costs.documentsPerPerson.toFixed(3)],
        ["documents for each membership (goal 0.2)", costs.documentsPerMembership.toFixed(3)],
        ["staged parts for each person, dropped at the end of the run", costs.stagedPerPerson.toFixed(3)],
        ["bytes of a person's document", whole(costs.personBytes)],
        ["bytes of the person's entry in the log", whole(costs.personLogBytes)],
        ["bytes of a group's document, without its members", whole(costs.groupBytes)],
        ["bytes of a membership in its shard", whole(costs.membershipBytes)],
        ["bytes of a membership in the log", whole(costs.membershipLogBytes)],
      ],
    ),
  ].join("\n\n");
};

const roundsTable = (sizes: readonly ({ users: number } & Rounds)[]): string => {
  const rows = (name: string, of: (rounds: Rounds) => RoundCost): string[][] =>
    sizes.map((size) => {
      const { graphRequests, storeOperations, written, writtenPeople, time } = of(size);
      return [
        name,
        whole(size.users),
        whole(graphRequests),
        whole(storeOperations),
        whole(written),
        whole(writtenPeople),
        whole(time.wall),
        whole(time.app),
      ];
    });
  return table(
    ["round", "users", "Graph requests", "store operations", "documents written", "of people", "ms", "ms of processor"],
    [
      ...rows("nothing changed", ({ quiet }) => quiet),
      ...rows(`${sizes[0]?.changedPeople ?? 0} people changed`, ({ changed }) => changed),
      ...rows("full read, nothing changed", ({ full }) => full),
    ],
  );
};

const chosenTables = ({ sizes }: ChosenResult): string => {
  const row = (name: string, of: (size: ChosenResult["sizes"][number]) => string): string[] => [name, ...sizes.map(of)];
  const imported = table(
    ["import", ...sizes.map(({ users }) => `${whole(users)} users`)],
    [
      row("selected groups, others nested in them", ({ selected }) => whole(selected)),
      row("groups that stand for one of the product", ({ mapped }) => whole(mapped)),
      row("people", ({ people }) => whole(people)),
      row("groups", ({ groups }) => whole(groups)),
      row("memberships", ({ memberships }) => whole(memberships)),
      row("documents for each person, log and head included (goal 1.1)", ({ costs }) =>
        costs.documentsPerPerson.toFixed(3),
      ),
      row("documents for each membership (goal 0.2)", ({ costs }) => costs.documentsPerMembership.toFixed(3)),
    ],
  );
  return `${imported}\n\n${roundsTable(sizes)}`;
};

const fairnessTables = (result: FairnessResult): string => {
  const { connections, workers, assumed, timer, hinted, started, quiet, throttled, long } = result;
  const row = (name: string, { others, delayedSeconds, storeOperations, hints, special }: FairnessCase): string[] => [
    name,
    fine(others.median),
    fine(others.last),
    fine(delayedSeconds),
    special ? fine(special.seconds) : "-",
    special ? whole(special.hints) : "-",
    special ? whole(special.graphRequests) : "-",
    whole(hints),
    whole(storeOperations),
  ];
  return [
    `${whole(connections)} connections; one instance that takes ${workers.batchSize} messages at a time, and more when at most ` +
      `${workers.newBatchThreshold} are under way; a message is assumed to last ${assumed.hint} ms, and ${assumed.graphRequest} ms for each Graph request.`,
    table(
      ["timer", "store operations", "hints"],
      [
        ["nothing due", whole(timer.idle.storeOperations), whole(timer.idle.hints)],
        ["all due", whole(timer.due.storeOperations), whole(timer.due.hints)],
      ],
    ),
    table(
      ["seconds after the timer", "first", "median", "last", "most in one second"],
      [
        ["hints become visible", fine(hinted.first), fine(hinted.median), fine(hinted.last), whole(hinted.most)],
        ["rounds begin", fine(started.first), fine(started.median), fine(started.last), whole(started.most)],
      ],
    ),
    `The next round of each, ${result.intervalMinutes} minutes later at most, is spread over ${whole(result.nextSpreadMinutes)} minutes.`,
    table(
      [
        "",
        "others done, median s",
        "last s",
        "largest delay by it, s",
        "itself done, s",
        "its hints",
        "its Graph requests",
        "hints in all",
        "store operations in all",
      ],
      [
        row("nobody is special", quiet),
        row(`one tenant is throttled for ${throttled.pauseSeconds} s`, throttled),
        row(`one round keeps its worker for ${long.longSeconds} s`, long),
      ],
    ),
  ].join("\n\n");
};

const notificationTables = ({ cold, arrival, storm }: NotificationResult): string =>
  [
    table(
      ["ms from a change in the tenant to the change log", "p50", "p95", "largest"],
      [
        [
          `${whole(arrival.changes)} changes, one by one`,
          whole(arrival.p50),
          whole(arrival.p95),
          whole(arrival.largest),
        ],
      ],
    ),
    ...(storm ? [stormTable(storm)] : []),
    table(
      [`ms of a new instance, median of ${whole(cold.starts)}`, ""],
      [
        ["from the start of the process to the open port", whole(cold.listening)],
        ["from the first notification to its 202", whole(cold.first)],
        ["the same if everything else were built first", whole(cold.firstComposed)],
      ],
    ),
  ].join("\n\n");

const stormTable = (storm: StormResult): string =>
  table(
    [`${whole(storm.perSecond)} notifications a second for ${whole(storm.seconds)} s`, ""],
    [
      ["posts", whole(storm.posts)],
      ["answered 202 within Graph's three seconds", whole(storm.taken)],
      ["ms to the answer, p50", whole(storm.p50)],
      ["p99 (goal: below 1,000)", whole(storm.p99)],
      ["largest", whole(storm.largest)],
      ["hints", whole(storm.hints)],
      ["rounds", whole(storm.rounds)],
      [
        "seconds from the last notification to the beginning of the round that follows it",
        storm.followedAfterSeconds.toFixed(1),
      ],
    ],
  );

const megabytes = (bytes: number): string => `${whole(bytes / 2 ** 20)} MB`;

const memoryTable = ({ small, precisionMb, large, group }: MemoryResult): string => {
  const row = (name: string, factor: number | null, attempt: Attempt | null): string[] =>
    attempt
      ? [
          name,
          `${attempt.heapLimitMb} MB`,
          String(factor),
          megabytes(attempt.heapBytes),
          megabytes(attempt.bufferBytes),
          whole(attempt.bufferBytes / (attempt.people + attempt.groups)),
          seconds(attempt.milliseconds),
        ]
      : [name, "not found", "more than was tried", "-", "-", "-", "-"];
  return table(
    [
      "import",
      "heap limit",
      "times the smallest",
      "largest heap seen",
      "largest buffers seen",
      "buffer bytes per object",
      "seconds",
    ],
    [
      row(`${whole(small.people)} people, smallest limit within ${precisionMb} MB`, 1, small),
      row(`${whole(large.users)} users`, large.factor, large.attempt),
      row(`one group of ${whole(group.members)} people`, group.factor, group.attempt),
    ],
  );
};

const keysTable = ({ recordBytes, perSecond, bare }: KeysResult, imported: ImportResult | undefined): string =>
  [
    table(
      [`a record of ${whole(recordBytes)} bytes`, "per second, one core", "of the bare cipher or hash"],
      [
        ["sealed", whole(perSecond.seals), percent(perSecond.seals, bare.seals)],
        ["opened", whole(perSecond.opens), percent(perSecond.opens, bare.opens)],
        ["person keys made and wrapped", whole(perSecond.personKeysMade), "-"],
        ["person keys opened", whole(perSecond.personKeysOpened), "-"],
        ["keyed hashes", whole(perSecond.macs), percent(perSecond.macs, bare.macs)],
      ],
    ),
    ...(imported ? [`Of the app's processor time of a first import: ${shareOf(imported, perSecond)}.`] : []),
  ].join("\n\n");

/** The operations that the import has counted, at these rates. */
const shareOf = ({ crypto, median }: ImportResult, rates: KeysResult["perSecond"]): string =>
  percent(
    1000 * (crypto.seals / rates.seals + crypto.opens / rates.opens + crypto.macs / rates.macs),
    median.import.app,
  );
