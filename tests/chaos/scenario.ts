/** What a scenario is, and how it is played. */
import type { Violation, ViolationKind } from "./history.ts";
import { type Report, Stage } from "./stage.ts";

/** Some trouble of some store. */
export interface Scenario {
  /** The store, such as `redis` or `redis with sentinels`. */
  readonly store: string;
  /** What happens to it, and the setting that it depends on. */
  readonly name: string;
  /** The client that the provider has, if any. */
  readonly client?: string;
  /** Whether it belongs to the short run. @default {false} */
  readonly isShort?: boolean;
  /** What is missing to play it. */
  readonly missing?: string | undefined;
  /**
   * What is expected of a store with these settings. All other violations are
   * faults of the library.
   *
   * @default {[]}
   */
  readonly expects?: readonly ViolationKind[];
  /** Events that have to tell of it. @default {[]} */
  readonly tells?: readonly string[];
  /** Whether requests are expected to fail to the end. @default {false} */
  readonly isHopeless?: boolean;
  /** Plays it. */
  readonly play: (stage: Stage) => Promise<Report>;
}

/** What a server that takes over with less than the one before brings about. */
export const ROLLED_BACK: readonly ViolationKind[] = [
  "lost",
  "late",
  "revived",
  "signed-out",
  // Its cookie may be newer than the store knows.
  "listed",
];

/** Longer than a call is waited for, in milliseconds. */
export const LONG = 1500;

/** How many calms connections are given to come back. */
export const RECOVERY = 3;

/** A scenario that was played. */
export interface Played {
  readonly scenario: Scenario;
  readonly report: Report;
  /** The violations that are faults. */
  readonly faults: readonly Violation[];
}

/** How scenarios are played. */
export interface PlayOptions {
  /** How long a calm lasts, in seconds. */
  readonly seconds: number;
  readonly seed: number;
}

/** Plays a scenario, and stops what it started. */
export async function play(
  scenario: Scenario,
  { seconds, seed }: PlayOptions,
): Promise<Played> {
  const stage = new Stage(seconds, seed);
  try {
    const report = await scenario.play(stage);
    const { expects = [], tells = [] } = scenario;
    const untold = tells.filter((type) => report.events[type] === undefined);
    const faults = [
      ...report.violations.filter(({ kind }) => !expects.includes(kind)),
      ...untold.map((type) => ({
        kind: "untold" as const,
        subject: type,
        detail: `no ${type} event told of it`,
      })),
      ...scenario.isHopeless ? [] : hopeless(report),
    ];
    return { scenario, report, faults };
  } finally {
    await stage.close();
  }
}

/** What a store that works again would not show. */
function hopeless({ isJudged, back }: Report): Violation[] {
  const details = [
    ...isJudged ? [] : ["the sessions could not be looked at afterwards"],
    ...back === undefined ? ["requests failed to the end"] : [],
  ];
  return details.map((detail) => ({
    kind: "unserved",
    subject: "all",
    detail,
  }));
}

/** What names a scenario. */
export function titleOf({ store, name, client }: Scenario): string {
  return `${store}, ${name}${client === undefined ? "" : `, ${client}`}`;
}
