/** Why sessions have ended, to tell those who come with their cookie. */

/** Why a session ended, as far as the shop took part in it. */
export type Ending = "elsewhere" | "copied" | "evicted" | "signed-out";

/** How many are remembered. */
const MOST_ENDINGS = 1000;

/**
 * Why sessions ended, by their ids. The library tells `"unknown"` for a session
 * that has ended, whatever the reason was: the store keeps nothing of it.
 */
export class Endings {
  readonly #endings = new Map<string, Ending>();

  note(id: string, ending: Ending): void {
    this.#endings.set(id, ending);
    if (this.#endings.size <= MOST_ENDINGS) return;
    // The oldest stands first in a map.
    for (const [oldest] of this.#endings) {
      this.#endings.delete(oldest);
      return;
    }
  }

  /** What to say to whoever comes with a cookie of that session. */
  textOf(id: string | undefined): string {
    const ending = id === undefined ? undefined : this.#endings.get(id);
    return ending === undefined ? EXPIRED : ENDED[ending];
  }

  isCopied(id: string): boolean {
    return this.#endings.get(id) === "copied";
  }
}

export const EXPIRED = "Your session has expired. Please start again.";

export const COPIED =
  "Somebody had a copy of your cookie. The session was ended for both of you.";

const ENDED: Readonly<Record<Ending, string>> = {
  elsewhere: "You were signed out on another device.",
  copied: COPIED,
  evicted: "You signed in on so many devices that the oldest was signed out.",
  "signed-out": "You signed out.",
};
