/** All scenarios. */
import { FILE_SCENARIOS } from "./file_scenarios.ts";
import { MYSQL_SCENARIOS } from "./mysql_scenarios.ts";
import { POSTGRES_SCENARIOS } from "./postgres_scenarios.ts";
import { REDIS_REPLICA_SCENARIOS } from "./redis_replica_scenarios.ts";
import { REDIS_SCENARIOS } from "./redis_scenarios.ts";
import type { Scenario } from "./scenario.ts";

/** In the order in which they are played. */
export const SCENARIOS: readonly Scenario[] = [
  ...REDIS_SCENARIOS,
  ...REDIS_REPLICA_SCENARIOS,
  ...POSTGRES_SCENARIOS,
  ...MYSQL_SCENARIOS,
  ...FILE_SCENARIOS,
];
