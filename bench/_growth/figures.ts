import { type Axis, logAxis } from "../_plot/axis.ts";
import {
  drawFigure,
  type Figure,
  type Panel,
  type Series,
} from "../_plot/figure.ts";
import type { Style } from "../_plot/style.ts";
import { sizeName } from "../compare/_table.ts";
import { BUCKETS, SHARES } from "./creates.ts";
import { type Collector, runtime } from "./engine.ts";
import { durationName, type Results } from "./results.ts";
import type { CreatesSummary } from "./rounds.ts";
import type { Costs } from "./sizes.ts";
import { CONTROL, OURS, STORES } from "./store.ts";

/** The plots of a run, by the name of each. */
export interface Plots {
  readonly percentiles: string;
  readonly steps: string;
  readonly costs: string;
}

const OTHERS: readonly Omit<Style, "id" | "width">[] = [
  { light: "#d55e00", dark: "#ff8f4d", dashes: "", shape: "square" },
  { light: "#008563", dark: "#2fc79a", dashes: "7 3", shape: "diamond" },
  { light: "#a8437f", dark: "#e39ac6", dashes: "2 2", shape: "triangle" },
  { light: "#947000", dark: "#f0c93c", dashes: "9 3 2 3", shape: "cross" },
  { light: "#3f4650", dark: "#c9d1d9", dashes: "5 2", shape: "circle" },
  { light: "#818b98", dark: "#7d8590", dashes: "1 3", shape: "square" },
];

/** Below it, a plot of the longest calls shows nothing but noise. */
const FLOOR_MILLISECONDS = 0.1;

const STYLES: ReadonlyMap<string, Style> = new Map(
  STORES.map((name, index) => [name, styleOf(name, index)]),
);

function styleOf(name: string, index: number): Style {
  const id = `s${index}`;
  const other = OTHERS[index - 1];
  if (name === OURS || other === undefined) {
    const colours = { light: "#0067a5", dark: "#6cb8ff" };
    return { id, ...colours, dashes: "", width: 3, shape: "circle" };
  }
  return { id, ...other, width: 1.5 };
}

/** Draws everything. */
export function plotsOf(results: Results): Plots {
  return {
    percentiles: drawFigure(percentilesFigure(results)),
    steps: drawFigure(stepsFigure(results)),
    costs: drawFigure(costsFigure(results)),
  };
}

function percentilesFigure(results: Results): Figure {
  const { creates, count } = results;
  const x = ninesAxis(count);
  const pointsOf = ({ percentiles }: CreatesSummary) =>
    SHARES.map((share, index) =>
      [nines(share, count), percentiles[index] as number] as const
    );
  return {
    title: `${runtime}: how long one create takes`,
    description: `The latency of each of ${count} creates in an empty store ` +
      `against the share of creates that were at least as fast, with and ` +
      `without the engine's own collections. ${longestOf(results)}`,
    panels: panelsOf(results, (collector, title) => {
      const series = seriesOf(creates[collector], pointsOf);
      return { title, x, y: latencyAxis(series), series };
    }),
    columns: 1,
    styles: STYLES,
  };
}

function stepsFigure(results: Results): Figure {
  const { creates, count } = results;
  const x = countAxis(count);
  const pointOf = (bucket: number, time: number) =>
    [
      (bucket + 1) / BUCKETS * count,
      Math.max(FLOOR_MILLISECONDS, time),
    ] as const;
  const pointsOf = {
    on: ({ buckets }: CreatesSummary) =>
      buckets.map((time, index) => pointOf(index, time)),
    off: ({ lasting }: CreatesSummary) =>
      lasting.map(({ milliseconds }, index) => pointOf(index, milliseconds)),
  };
  return {
    title: `${runtime}: the longest create while a store grows`,
    description: `The longest of each ${count / BUCKETS} creates against the ` +
      `number of sessions. With the engine's collections the median of the ` +
      `rounds, without them the round in which it was shortest; ` +
      `${durationName(FLOOR_MILLISECONDS)} at least. ` +
      longestOf(results),
    panels: panelsOf(results, (collector, title) => {
      const series = seriesOf(creates[collector], pointsOf[collector]);
      return { title, x, y: latencyAxis(series), series };
    }),
    columns: 1,
    styles: STYLES,
  };
}

function costsFigure(results: Results): Figure {
  const operations = ["create", "read", "touch", "destroy"] as const;
  return {
    title: `${runtime}: cost for each operation`,
    description: "Nanoseconds for each create, read, touch and destroy " +
      `against the number of sessions in the store, from ` +
      `${sizeName(results.sizes[0] ?? 0)} to ` +
      `${sizeName(results.sizes.at(-1) ?? 0)}, both axes logarithmic.`,
    panels: operations.map((operation) => costPanel(results, operation)),
    columns: 2,
    styles: STYLES,
  };
}

function costPanel({ reports, sizes }: Results, operation: keyof Costs): Panel {
  const series = [...reports].map(([name, some]): Series => ({
    name,
    points: some.flatMap(({ size, costs }) => {
      const cost = costs?.[operation];
      return cost === undefined ? [] : [[size, cost] as const];
    }),
  }));
  const values = series.flatMap(({ points }) => points.map(([, y]) => y));
  return {
    title: operation,
    x: logAxis("sessions in the store", sizes, sizeName),
    y: logAxis("time for each", values, (ns) => durationName(ns / 1e6)),
    series,
    isMarked: true,
  };
}

/** One panel for each way the engine's collector was set. */
function panelsOf(
  { creates }: Results,
  draw: (collector: Collector, title: string) => Panel,
): Panel[] {
  const panels: Panel[] = [];
  if (creates.off.size > 0) {
    panels.push(draw("off", "apart from the engine's collections"));
  }
  panels.push(draw("on", "as it comes, with the engine's collections"));
  return panels;
}

function seriesOf(
  summaries: ReadonlyMap<string, CreatesSummary>,
  pointsOf: (summary: CreatesSummary) => Series["points"],
): Series[] {
  return [...summaries].map(([name, summary]) => ({
    name,
    points: pointsOf(summary),
  }));
}

function latencyAxis(series: readonly Series[]): Axis {
  const values = series.flatMap(({ points }) => points.map(([, y]) => y));
  return logAxis("time of one create", values, durationName);
}

/** 1 for nine tenths, 2 for 99 %; all of `count` count as one more of them. */
function nines(share: number, count: number): number {
  return -Math.log10(Math.max(1 - share, 0.5 / count));
}

function ninesAxis(count: number): Axis {
  const ticks = [{ at: 0, label: "0" }, { at: nines(0.5, count), label: "50" }];
  for (let at = 1; at < nines(1, count); at++) {
    ticks.push({ at, label: `${Number((100 - 100 / 10 ** at).toFixed(4))}` });
  }
  const label = "% of the creates were at least as fast";
  return { label, kind: "linear", from: 0, to: nines(1, count), ticks };
}

function countAxis(count: number): Axis {
  const ticks = Array.from({ length: 7 }, (_, index) => {
    const at = index / 6 * count;
    return { at, label: Math.round(at).toLocaleString("en") };
  });
  const label = "sessions in the store";
  return { label, kind: "linear", from: 0, to: count, ticks };
}

function longestOf({ creates }: Results): string {
  const texts = [...creates.off].filter(([name]) => name !== CONTROL)
    .map(([name, { percentiles }]) =>
      `${name} ${durationName(percentiles.at(-1) ?? 0)}`
    );
  return texts.length === 0
    ? ""
    : `Longest apart from collections: ${texts.join(", ")}.`;
}
