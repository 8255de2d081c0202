/** What the command line prints: columns, times and sizes for people to read. */

/** What takes two columns of a terminal, by Unicode's East Asian Width. */
const WIDE =
  /[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\ua960-\ua97f\uac00-\ud7a3\uf900-\ufaff\ufe10-\ufe19\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6\u{16fe0}-\u{18aff}\u{1b000}-\u{1b2ff}\u{1f200}-\u{1f2ff}\u{20000}-\u{3fffd}]|\p{Emoji_Presentation}/u;

/** What stands on the character before it. */
const COMBINING = /[\p{Mn}\p{Me}]/u;

/**
 * What breaks a line, has a terminal do something, or cannot be seen; and each
 * space that could be taken for another character's width.
 */
const UNSEEN =
  /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]|(?! )\p{Zs}/gu;

/** The space between two columns. */
const GAP = "  ";

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** The units of a distance in time, the longest first. */
const UNITS = [["day", DAY], ["hour", HOUR], ["minute", MINUTE]] as const;

/**
 * A label may come from a visitor: what cannot be seen is written as in JSON, in
 * which it means the same.
 */
export function visible(line: string): string {
  return line.replace(UNSEEN, escaped);
}

/** A text that cannot be taken for two columns. */
export function cell(text: string): string {
  return visible(text).replace(/(?<= ) |^ | $/g, escaped);
}

function escaped(text: string): string {
  return Array.from(
    { length: text.length },
    (_, at) => `\\u${text.charCodeAt(at).toString(16).padStart(4, "0")}`,
  ).join("");
}

/** How many columns of a terminal a text takes. */
export function displayWidth(text: string): number {
  let width = 0;
  for (const character of text) {
    if (WIDE.test(character)) width += 2;
    else if (!COMBINING.test(character)) width++;
  }
  return width;
}

/** Lines of which each column begins at the same place. */
export function table(rows: readonly (readonly string[])[]): string[] {
  const cells = rows.map((row) => row.map(cell));
  const widths: number[] = [];
  for (const row of cells) {
    for (const [at, text] of row.entries()) {
      widths[at] = Math.max(widths[at] ?? 0, displayWidth(text));
    }
  }
  return cells.map((row) =>
    row.map((text, at) => {
      const isLast = at === row.length - 1;
      const missing = (widths[at] ?? 0) - displayWidth(text);
      return isLast ? text : text + " ".repeat(missing);
    }).join(GAP)
  );
}

/** Such as "2 minutes ago" and "in 3 days"; both times in milliseconds. */
export function distance(time: number, now: number): string {
  const length = Math.abs(time - now);
  for (const [name, unit] of UNITS) {
    if (length < unit) continue;
    const count = Math.floor(length / unit);
    const words = `${count} ${name}${count === 1 ? "" : "s"}`;
    return time > now ? `in ${words}` : `${words} ago`;
  }
  return time > now ? "in a moment" : "just now";
}

/** Such as "39 bytes" and "1.5 MB". */
export function size(bytes: number): string {
  if (bytes === 1) return "1 byte";
  if (bytes < 1000) return `${bytes} bytes`;
  const names = ["kB", "MB", "GB", "TB"];
  let rest = bytes / 1000;
  let at = 0;
  // 999.95 would be shown as 1000.0.
  for (; rest >= 999.95 && at < names.length - 1; at++) rest /= 1000;
  return `${rest.toFixed(1)} ${names[at]}`;
}

/** In bold, as a terminal is told. */
export function bold(text: string): string {
  return `\x1b[1m${text}\x1b[22m`;
}
