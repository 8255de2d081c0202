import { type Axis, placeOn } from "./axis.ts";
import { line, marker, markers, type Style, styleSheet } from "./style.ts";

/** One or more panels under a common title and legend. */
export interface Figure {
  readonly title: string;
  /** What can be seen, for those who cannot see it. */
  readonly description: string;
  readonly panels: readonly Panel[];
  /** How many panels stand side by side. */
  readonly columns: number;
  /** How each series is drawn, by its name, in the order of the legend. */
  readonly styles: ReadonlyMap<string, Style>;
}

/** Series over the same two axes. */
export interface Panel {
  readonly title: string;
  readonly x: Axis;
  readonly y: Axis;
  readonly series: readonly Series[];
  /** Whether each point is marked: for few points. */
  readonly isMarked?: boolean;
}

/** Points from left to right. */
export interface Series {
  readonly name: string;
  readonly points: readonly (readonly [x: number, y: number])[];
}

interface Box {
  readonly left: number;
  readonly top: number;
  readonly width: number;
  readonly height: number;
}

const WIDTH = 860;
const MARGIN = { left: 62, right: 106, top: 34, bottom: 50 };
const PLOT_HEIGHT = 230;
const LEGEND_TOP = 54;
const HEADER = 76;
const LABEL_GAP = 13;

/** A figure as the text of an SVG file. */
export function drawFigure(figure: Figure): string {
  const { panels, columns } = figure;
  const styles = usedStyles(figure);
  const rows = Math.ceil(panels.length / columns);
  const panelHeight = MARGIN.top + PLOT_HEIGHT + MARGIN.bottom;
  const height = HEADER + rows * panelHeight;
  const panelWidth = WIDTH / columns;
  const drawn = panels.map((panel, index) =>
    drawPanel(panel, styles, {
      left: (index % columns) * panelWidth + MARGIN.left,
      top: HEADER + Math.floor(index / columns) * panelHeight + MARGIN.top,
      width: panelWidth - MARGIN.left - MARGIN.right,
      height: PLOT_HEIGHT,
    })
  );
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}"` +
    ` width="${WIDTH}" height="${height}" role="img"` +
    ` aria-labelledby="title description">`,
    `<title id="title">${escaped(figure.title)}</title>`,
    `<desc id="description">${escaped(figure.description)}</desc>`,
    styleSheet(styles),
    `<rect class="paper" width="${WIDTH}" height="${height}"/>`,
    text(16, 26, figure.title, "title"),
    drawLegend(styles),
    ...drawn,
    "</svg>\n",
  ].join("\n");
}

/** Those of series that are in a panel. */
function usedStyles({ panels, styles }: Figure): ReadonlyMap<string, Style> {
  const names = new Set(
    panels.flatMap(({ series }) => series.map(({ name }) => name)),
  );
  return new Map([...styles].filter(([name]) => names.has(name)));
}

function drawLegend(styles: ReadonlyMap<string, Style>): string {
  const parts: string[] = [];
  let left = 16;
  for (const [name, style] of styles) {
    const swatch = `M${left} ${LEGEND_TOP}h30`;
    parts.push(line(style, swatch), marker(style, left + 15, LEGEND_TOP));
    parts.push(text(left + 36, LEGEND_TOP + 4, name));
    left += 36 + name.length * 6.6 + 20;
  }
  return parts.join("\n");
}

function drawPanel(
  panel: Panel,
  styles: ReadonlyMap<string, Style>,
  box: Box,
): string {
  const { left, top, width } = box;
  const parts = [text(left, top - 12, panel.title, "heading")];
  parts.push(drawXAxis(panel.x, box), drawYAxis(panel.y, box));
  const labels: Label[] = [];
  for (const { name, points } of panel.series) {
    const style = styles.get(name);
    if (style === undefined || points.length === 0) continue;
    const places = points.map(([x, y]) =>
      [
        left + placeOn(panel.x, x) * width,
        top + (1 - placeOn(panel.y, y)) * box.height,
      ] as const
    );
    parts.push(line(style, pathOf(places)));
    if (panel.isMarked) parts.push(markers(style, places));
    labels.push({ name, style, at: places.at(-1)?.[1] as number });
  }
  parts.push(...drawLabels(labels, box));
  return parts.join("\n");
}

function drawXAxis(axis: Axis, box: Box): string {
  const bottom = box.top + box.height;
  const parts = axis.ticks.map(({ at, label }) => {
    const x = rounded(box.left + placeOn(axis, at) * box.width);
    return `<path class="grid" d="M${x} ${box.top}V${bottom}"/>` +
      text(x, bottom + 16, label, "middle");
  });
  const middle = box.left + box.width / 2;
  parts.push(text(middle, bottom + 36, axis.label, "middle faint"));
  return parts.join("\n");
}

function drawYAxis(axis: Axis, box: Box): string {
  const right = box.left + box.width;
  const parts = axis.ticks.map(({ at, label }) => {
    const y = rounded(box.top + (1 - placeOn(axis, at)) * box.height);
    return `<path class="grid" d="M${box.left} ${y}H${right}"/>` +
      text(box.left - 6, y + 4, label, "end");
  });
  parts.push(text(right, box.top - 12, axis.label, "end faint"));
  return parts.join("\n");
}

/** The name of a series beside its last point. */
interface Label {
  readonly name: string;
  readonly style: Style;
  readonly at: number;
}

function drawLabels(labels: readonly Label[], box: Box): string[] {
  const sorted = labels.toSorted((a, b) => a.at - b.at);
  const places = spread(sorted.map(({ at }) => at), box.top + box.height);
  const x = box.left + box.width + 6;
  return sorted.map(({ name, style }, index) =>
    text(x, (places[index] as number) + 4, name, `${style.id} label`)
  );
}

/** As near to where they belong as they can stand without touching. */
function spread(sorted: readonly number[], bottom: number): number[] {
  const places: number[] = [];
  for (const at of sorted) {
    places.push(Math.max(at, (places.at(-1) ?? -Infinity) + LABEL_GAP));
  }
  let limit = bottom;
  for (let index = places.length - 1; index >= 0; index--) {
    limit = Math.min(limit, places[index] as number);
    places[index] = limit;
    limit -= LABEL_GAP;
  }
  return places;
}

function pathOf(places: readonly (readonly [number, number])[]): string {
  return places.map(([x, y], index) =>
    `${index === 0 ? "M" : "L"}${rounded(x)} ${rounded(y)}`
  ).join("");
}

function text(x: number, y: number, words: string, name = ""): string {
  const attribute = name === "" ? "" : ` class="${name}"`;
  return `<text x="${rounded(x)}" y="${rounded(y)}"${attribute}>` +
    `${escaped(words)}</text>`;
}

function rounded(value: number): number {
  return Math.round(value * 10) / 10;
}

function escaped(words: string): string {
  return words.replaceAll("&", "&amp;").replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;");
}
