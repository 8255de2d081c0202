/** HTML in which every text is escaped: the only way the shop makes any. */

/** A piece of HTML that can go into a page as it is. */
export class Html {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }
}

/** What a template takes. `undefined` and `false` are left out. */
export type Part =
  | Html
  | string
  | number
  | undefined
  | false
  | readonly Part[];

/** Makes HTML. What is put in is a text, and escaped, unless it is HTML itself. */
export function html(strings: TemplateStringsArray, ...parts: Part[]): Html {
  const [first = "", ...rest] = strings;
  return new Html(
    rest.reduce((text, next, at) => text + textOf(parts[at]) + next, first),
  );
}

function textOf(part: Part): string {
  if (part === undefined || part === false) return "";
  if (part instanceof Html) return part.text;
  if (typeof part === "object") return part.map(textOf).join("");
  return escapeHtml(String(part));
}

function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (mark) => `&#${mark.charCodeAt(0)};`);
}
