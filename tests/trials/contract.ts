/** What a library has to bring to be tried. */
import type { Lab } from "./lab.ts";

/** Every library that has such an option is given these, in seconds. */
export const IDLE = 3600, ABSOLUTE = 12 * 3600, REMEMBERED = 30 * 86_400;

/** Long enough for each of the libraries. */
export const SECRET = "0123456789abcdef0123456789abcdef";

/** A request's session, by the library's own means. */
export interface Handle {
  user(): unknown;
  get(key: string): unknown;
  set(key: string, value: unknown): unknown;
  /** As the library's guide says, with a new id where it has a call for that. */
  signIn(user: string, remember: boolean | undefined): unknown;
  signOut(): unknown;
  /** Only if the library has a call for it. */
  increment?(key: string): unknown;
  /** Ends the user's other sessions, and answers how many the list showed. */
  endOthers?(): Promise<number>;
}

/** A handler of a request; its answer is the body. */
export type Handler = (session: Handle) => unknown;

/** A running site of one library. */
export interface Site {
  fetch(request: Request): Response | Promise<Response>;
  close?(): unknown;
}

/** One library, set up as its own guide says. */
export interface Peer {
  /** What has to be installed, without the framework; the first names it. */
  readonly packages: readonly string[];
  readonly framework: string;
  /** Whether data can stay in the cookie. */
  readonly stateless: "never" | "optional" | "always";
  open(lab: Lab): Site | Promise<Site>;
  /** The `Cookie` header of whoever knows a stored id and every secret of the site. */
  forge?(id: string): string | Promise<string>;
}

/** The handle of a session that is a plain object. */
export function handleOf(
  session: () => Record<string, unknown>,
  others: Pick<Handle, "signIn" | "signOut"> & Partial<Handle>,
): Handle {
  return {
    user: () => session().user,
    get: (key) => session()[key],
    set: (key, value) => session()[key] = value,
    ...others,
  };
}
