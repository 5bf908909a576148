import { defineConfig } from "vitest/config";
import { BaseSequencer, type TestSpecification } from "vitest/node";

/** By size, as a fresh clone sorts them, the files that mostly wait would come last, and one of them would run on alone for minutes. */
class WaitingFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const { waiting = [], others = [] } = Object.groupBy(await super.sort(files), ({ moduleId }) =>
      moduleId.includes("/test/e2e/") ? "waiting" : "others",
    );
    return [...waiting, ...others];
  }
}

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    // A browser is no dependency: its tests run where one is given.
    exclude: process.env.CHROMIUM_PATH ? [] : ["test/browser/**"],
    testTimeout: 120_000,
    hookTimeout: 120_000,
    maxWorkers: 2,
    sequence: { sequencer: WaitingFirst },
    coverage: { provider: "v8", include: ["src/**/*.ts"], reporter: ["text-summary", "html"] },
  },
});
