/** Results as tables in `docs/performance.md`, between `<!-- bench:<name> -->` and `<!-- /bench -->`; the words around them are ours. */
import type { CryptoResult } from "./crypto.ts";
import type { DeltaResult, RoundCost } from "./delta.ts";
import type { ImportResult, Turn } from "./import.ts";
import type { Attempt, MemoryResult } from "./memory.ts";

export interface Kept<R> {
  measuredAt: string;
  machine: { processor: string; cores: number; node: string };
  result: R;
}

export interface KeptResults {
  import?: Kept<ImportResult>;
  delta?: Kept<DeltaResult>;
  memory?: Kept<MemoryResult>;
  crypto?: Kept<CryptoResult>;
}

export const withTables = (document: string, results: KeptResults): string => {
  const texts: Record<string, string | null> = {
    import: results.import ? stamped(results.import, importTables(results.import.result)) : null,
    delta: results.delta ? stamped(results.delta, deltaTable(results.delta.result)) : null,
    memory: results.memory ? stamped(results.memory, memoryTable(results.memory.result)) : null,
    crypto: results.crypto ? stamped(results.crypto, cryptoTable(results.crypto.result)) : null,
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

const importTables = ({
  people,
  groups,
  memberships,
  graphRequests,
  crypto,
  costs,
  turns,
  median,
}: ImportResult): string => {
  const { floor, import: all, waited } = median;
  const parts: [string, Turn["import"]][] = [
    ["the same pages, fetched and parsed", floor.pages],
    ["as many ready documents in batches", floor.batches],
    [`${whole(crypto.seals)} seals, ${whole(crypto.opens)} openings, ${whole(crypto.macs)} keyed hashes`, floor.crypto],
  ];
  const bottom = floor.pages.wall + floor.batches.wall + floor.crypto.wall;
  const ratios = (of: keyof Turn["ratio"]): string => turns.map(({ ratio }) => fine(ratio[of])).join(", ");
  return [
    `${whole(people)} people, ${whole(groups)} groups, ${whole(memberships)} memberships, ${whole(graphRequests)} Graph requests. ` +
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

const deltaTable = ({ sizes }: DeltaResult): string => {
  const row = (name: string, of: (size: DeltaResult["sizes"][number]) => RoundCost): string[][] =>
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
      ...row("nothing changed", ({ quiet }) => quiet),
      ...row(`${sizes[0]?.changedPeople ?? 0} people changed`, ({ changed }) => changed),
      ...row("full read, nothing changed", ({ full }) => full),
    ],
  );
};

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

const cryptoTable = ({ recordBytes, perSecond }: CryptoResult): string =>
  table(
    [`a record of ${whole(recordBytes)} bytes`, "per second, one core"],
    [
      ["sealed", whole(perSecond.seals)],
      ["opened", whole(perSecond.opens)],
      ["person keys made and wrapped", whole(perSecond.personKeysMade)],
      ["person keys opened", whole(perSecond.personKeysOpened)],
      ["keyed hashes", whole(perSecond.macs)],
    ],
  );
