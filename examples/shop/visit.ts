/** What the parts of the shop hand to each other. */
import type { Manager, Provider, Session } from "@cloakroom/session";
import type { Endings } from "./endings.ts";
import type { Pace } from "./forecast.ts";
import type { Cart } from "./goods.ts";
import type { Thefts } from "./theft.ts";
import type { Watch } from "./watch.ts";

/** A message that is shown once. */
export interface Notice {
  readonly tone: "success" | "error" | "info";
  readonly text: string;
  /** The page that tells more. */
  readonly more?: string | undefined;
}

/** What was bought last. */
export interface Order {
  readonly number: string;
  /** In whole euros. */
  readonly sum: number;
  readonly cart: Cart;
}

/** What a session of the shop holds. */
export interface Data {
  cart: Cart;
  notice: Notice;
  order: Order;
  /** The id of an earlier session whose cookie was copied in the play. */
  story: string;
}

/** What all requests share. */
export interface Shop {
  readonly manager: Manager<Data>;
  /** The store behind the manager, for the panel to look at. */
  readonly provider: Provider;
  readonly pace: Pace;
  readonly watch: Watch;
  readonly endings: Endings;
  readonly thefts: Thefts;
  /** In milliseconds since the Unix epoch. */
  readonly now: () => number;
}

/** One request. */
export interface Visit {
  readonly shop: Shop;
  readonly request: Request;
  readonly url: URL;
  readonly session: Session<Data>;
  /** What was sent in a form; empty for a page. */
  readonly form: URLSearchParams;
}

/** What a form does: it answers with the page to go to. */
export type Action = (visit: Visit) => string | Promise<string>;

/** What shows a page. */
export type View = (visit: Visit) => Response | Promise<Response>;
