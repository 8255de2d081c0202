/**
 * The chaos run: the library on real servers in trouble.
 *
 * `deno task chaos [--seconds N] [--scenario NAME] [--store NAME] [--client NAME]
 * [--seed N] [--short] [--json]`
 *
 * @module
 */
import process from "node:process";
import { parseArgs } from "node:util";
import { countByKind } from "./history.ts";
import { play, type Played, type Scenario, titleOf } from "./scenario.ts";
import { SCENARIOS } from "./scenarios.ts";

// Every server that is started wants to be ended with the run.
process.setMaxListeners(0);

const { values } = parseArgs({
  options: {
    seconds: { type: "string", default: "3" },
    scenario: { type: "string" },
    store: { type: "string" },
    client: { type: "string" },
    seed: { type: "string", default: "1" },
    short: { type: "boolean", default: false },
    json: { type: "boolean", default: false },
  },
});

/** Whether a scenario is one of those that were asked for. */
function isChosen({ store, name, client = "", isShort }: Scenario): boolean {
  return (values.store === undefined || store === values.store) &&
    (values.scenario === undefined || name.includes(values.scenario)) &&
    (values.client === undefined || client === values.client) &&
    (!values.short || isShort === true);
}

/** One line of what a scenario came to. */
function lineOf({ scenario, report, faults }: Played): string {
  const { requests, acknowledged, failed, longest, back, failing } = report;
  const violations = countByKind(report.violations);
  return [
    `${faults.length === 0 ? "ok" : "FAULT"} ${titleOf(scenario)}:`,
    `${requests} requests, ${acknowledged} acknowledged, ${failed} failed;`,
    `violations ${inWords(violations)}`,
    `(expected ${(scenario.expects ?? []).join(", ") || "none"});`,
    `events ${inWords(report.events)};`,
    `longest ${longest} ms, failing for ${failing} s,`,
    back === undefined ? "never back" : `back after ${back} s`,
  ].join(" ");
}

function inWords(counts: Readonly<Record<string, number>>): string {
  return Object.entries(counts).map(([name, count]) => `${name} ${count}`)
    .join(", ") || "none";
}

function tell(played: Played): void {
  const { scenario, report, faults } = played;
  if (values.json) {
    const { store, name, client, expects = [] } = scenario;
    const line = { store, name, client, expects, ...report, faults };
    console.log(JSON.stringify(line));
    return;
  }
  console.log(lineOf(played));
  for (const { kind, subject, detail } of faults.slice(0, 5)) {
    console.log(`  ${kind}: ${subject}: ${detail}`);
  }
}

const options = { seconds: Number(values.seconds), seed: Number(values.seed) };
let isFaulty = false;
for (const scenario of SCENARIOS.filter(isChosen)) {
  if (scenario.missing !== undefined) {
    const line = `${titleOf(scenario)} is skipped: ${scenario.missing}`;
    if (!values.json) console.log(line);
    continue;
  }
  const played = await play(scenario, options);
  isFaulty ||= played.faults.length > 0;
  tell(played);
}
process.exit(isFaulty ? 1 : 0);
