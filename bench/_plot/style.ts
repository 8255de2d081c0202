/**
 * How a series looks. Colour, dashes and the shape of the points each tell it
 * from the others, so that no one of them has to be seen.
 */
export interface Style {
  /** A name for the style sheet. */
  readonly id: string;
  /** Its colour on white. */
  readonly light: string;
  /** Its colour on black. */
  readonly dark: string;
  /** As in `stroke-dasharray`; empty for a solid line. */
  readonly dashes: string;
  /** In pixels. */
  readonly width: number;
  readonly shape: Shape;
}

/** The shape of a point. */
export type Shape = "circle" | "square" | "diamond" | "triangle" | "cross";

/** Paths around a point that lies at the origin. */
const SHAPES: Readonly<Record<Shape, string>> = {
  circle: "m-3.5 0a3.5 3.5 0 1 0 7 0a3.5 3.5 0 1 0-7 0z",
  square: "m-3-3h6v6h-6z",
  diamond: "m0-4l4 4l-4 4l-4-4z",
  triangle: "m0-4l4 7h-8z",
  cross: "m-3-3l6 6m0-6l-6 6",
};

/** The style sheet of a figure, for a reader in the light or in the dark. */
export function styleSheet(styles: ReadonlyMap<string, Style>): string {
  const series = [...styles.values()];
  return `<style>
text{font:12px system-ui,sans-serif;fill:#1f2328}
.title{font-size:16px;font-weight:600}
.heading{font-size:13px;font-weight:600}
.faint{fill:#59636e}
.middle{text-anchor:middle}
.end{text-anchor:end}
.paper{fill:#fff}
.grid{stroke:#d1d9e0;stroke-width:.7}
.line{fill:none;stroke-linejoin:round}
${series.map(rulesOf).join("\n")}
@media (prefers-color-scheme:dark){
text{fill:#e6edf3}
.faint{fill:#9198a1}
.paper{fill:#0d1117}
.grid{stroke:#30363d}
${series.map(({ id, dark }) => colours(id, dark)).join("\n")}
}
</style>`;
}

/** A line along a path. */
export function line(style: Style, path: string): string {
  return `<path class="${style.id} line" d="${path}"/>`;
}

/** One point. */
export function marker(style: Style, x: number, y: number): string {
  return markers(style, [[x, y]]);
}

/** Points, each in the shape of their series. */
export function markers(
  style: Style,
  places: readonly (readonly [x: number, y: number])[],
): string {
  const path = places.map(([x, y]) =>
    `M${x.toFixed(1)} ${y.toFixed(1)}${SHAPES[style.shape]}`
  ).join("");
  return `<path class="${style.id} mark" d="${path}"/>`;
}

function rulesOf({ id, light, dashes, width }: Style): string {
  const pattern = dashes === "" ? "" : `;stroke-dasharray:${dashes}`;
  return `${colours(id, light)}
.${id}.line{stroke-width:${width}${pattern}}`;
}

function colours(id: string, colour: string): string {
  return `.${id}{stroke:${colour};fill:${colour}}` +
    `.${id}.line{fill:none}.${id}.label{stroke:none;fill:${colour}}`;
}
