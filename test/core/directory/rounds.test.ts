import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createOracle } from "../../../src/local/simulator/directory/oracle.ts";
import { expected, held, replay } from "../../support/held.ts";
import { type Stage, startStage } from "../../support/sync-stage.ts";

let stage: Stage;
beforeAll(async () => {
  stage = await startStage();
});
afterAll(() => stage.close());

const seeds = process.env.LONG ? 150 : 20;

describe("rounds against a changing tenant", () => {
  for (let seed = 1; seed <= seeds; seed++)
    it(`holds what the oracle expects after a full read and five deltas (seed ${seed})`, async () => {
      const tid = stage.tenant({ users: 120, groups: 30, seed });
      const directory = stage.simulator.world.tenants.get(tid)!.directory;
      const { connectionId, context } = await stage.connect(tid);
      const oracle = createOracle({
        admits: (user) => user.properties["@odata.type"] !== "#microsoft.graph.agentUser",
      });
      await stage.sync(connectionId, "full");
      oracle.observe(directory);
      expect(await held(stage.store, context)).toEqual(expected(oracle.view(), context));
      for (let round = 1; round <= 5; round++) {
        stage.simulator.commands["random-changes"].run({ tid, seed: seed * 100 + round, count: 25 });
        await stage.sync(connectionId);
        oracle.observe(directory);
        expect(await held(stage.store, context)).toEqual(expected(oracle.view(), context));
      }
      expect(await replay(stage.store, context)).toEqual(expected(oracle.view(), context));
    });
});
