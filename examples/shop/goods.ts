/** What the shop sells. */
import { type Html, html } from "./html.ts";

/** The colours in which cloakroom tickets are printed. */
export type Paper = "pink" | "yellow" | "blue" | "green" | "orange" | "lilac";

/** One thing to buy. */
export interface Good {
  readonly id: string;
  /** What is printed on its ticket. */
  readonly number: string;
  readonly name: string;
  /** In whole euros. */
  readonly price: number;
  readonly paper: Paper;
  readonly drawing: Html;
}

/** How many of each, by the id of the good. */
export type Cart = Readonly<Record<string, number>>;

/** One line of a cart. */
export interface CartLine {
  readonly good: Good;
  readonly count: number;
}

export const GOODS: readonly Good[] = [
  {
    id: "wool-coat",
    number: "101",
    name: "Wool coat",
    price: 148,
    paper: "pink",
    drawing: drawing(html`
      <path class="hook" d="M60 26v-7c0-3 5-3 5-7a5 5 0 0 0-10 0" />
      <path class="cloth"
        d="M50 24 33 31c-6 3-8 8-10 18l-9 40 12 4 9-29-2 46h54l-2-46 9 29 12-4-9-40c-2-10-4-15-10-18L70 24l-10 8z" />
      <path class="shade" d="m50 24-8 11 18 25 18-25-8-11-10 8z" />
      <path d="M60 60v50M42 84h9M69 84h9" />
      <path class="dots" d="M66 70h.1M66 84h.1M66 98h.1" />
    `),
  },
  {
    id: "rain-cape",
    number: "102",
    name: "Rain cape",
    price: 89,
    paper: "yellow",
    drawing: drawing(html`
      <path class="cloth"
        d="M60 10c-16 0-22 13-20 27C26 50 18 80 16 102c26 9 62 9 88 0-2-22-10-52-24-65 2-14-4-27-20-27z" />
      <path class="shade" d="M60 19c-9 0-13 8-11 17 6 5 16 5 22 0 2-9-2-17-11-17z" />
      <path d="M60 41v66M36 72c-3 9-5 18-5 27M84 72c3 9 5 18 5 27" />
      <path class="dots" d="M66 54h.1M66 68h.1M66 82h.1" />
    `),
  },
  {
    id: "felt-hat",
    number: "103",
    name: "Felt hat",
    price: 56,
    paper: "blue",
    drawing: drawing(html`
      <path class="cloth"
        d="M10 76c10-9 24-10 28-11h44c4 1 18 2 28 11 3 3-1 7-6 9-26 9-62 9-88 0-5-2-9-6-6-9z" />
      <path class="cloth"
        d="M34 70c1-22 6-38 15-39 5 0 7 3 11 3s6-3 11-3c9 1 14 17 15 39-14 7-38 7-52 0z" />
      <path class="shade" d="M35 60c15 6 35 6 50 0l1 10c-14 7-38 7-52 0z" />
    `),
  },
  {
    id: "umbrella",
    number: "104",
    name: "Umbrella",
    price: 34,
    paper: "green",
    drawing: drawing(html`
      <path class="cloth"
        d="M12 62a48 46 0 0 1 96 0c-7-7-17-7-24 0-7-7-17-7-24 0-7-7-17-7-24 0-7-7-17-7-24 0z" />
      <path class="shade"
        d="M36 62c0-22 10-40 24-46 14 6 24 24 24 46-7-7-17-7-24 0-7-7-17-7-24 0z" />
      <path d="M60 57v43a9 9 0 0 0 18 0M60 16V8" />
    `),
  },
  {
    id: "long-scarf",
    number: "105",
    name: "Long scarf",
    price: 42,
    paper: "orange",
    drawing: drawing(html`
      <path class="shade" d="M66 42 84 98l-17 6-15-54z" />
      <path class="cloth"
        d="M60 14c20 0 32 7 32 16S80 48 60 48 28 39 28 30s12-16 32-16z" />
      <path class="shade" d="M60 24c11 0 17 3 17 6s-6 7-17 7-17-4-17-7 6-6 17-6z" />
      <path class="cloth" d="m44 44-8 60h20l5-56z" />
      <path
        d="M39 88h18M38 96h19M36 104v7M43 104v7M50 104v7M56 104v7M72 102l2 7M78 100l2 7M84 98l2 7" />
    `),
  },
  {
    id: "rain-boots",
    number: "106",
    name: "Rain boots",
    price: 65,
    paper: "lilac",
    drawing: drawing(html`
      <path class="shade" d="M62 14h24v54c0 8 22 9 24 24v12H62z" />
      <path class="cloth" d="M28 22h26v52c0 8 24 9 26 22v12H28z" />
      <path d="M28 36h26M28 100h52M62 26h24" />
    `),
  },
];

/** The good of an id that came in, if there is one. */
export function goodOf(id: string | null): Good | undefined {
  return GOODS.find((good) => good.id === id);
}

/** A cart's lines, in the order of the catalogue. */
export function linesOf(cart: Cart): CartLine[] {
  return GOODS
    .map((good) => ({ good, count: cart[good.id] ?? 0 }))
    .filter(({ count }) => count > 0);
}

/** How many things are in a cart. */
export function countOf(cart: Cart): number {
  return linesOf(cart).reduce((sum, { count }) => sum + count, 0);
}

/** What a cart costs, in whole euros. */
export function sumOf(cart: Cart): number {
  return linesOf(cart).reduce((sum, { good, count }) => {
    return sum + good.price * count;
  }, 0);
}

function drawing(paths: Html): Html {
  return html`<svg class="drawing" viewBox="0 0 120 120" aria-hidden="true">${paths}</svg>`;
}
