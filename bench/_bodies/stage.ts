/** The one that stands, with all that it holds. */
let standing: Stage<unknown> | undefined;

/**
 * Something large that several cases use, made when the first of them is
 * prepared. Only one stands at a time: what holds a million sessions would make
 * every collection of garbage slower for the cases after it.
 *
 * @typeParam T What stands on it.
 */
export class Stage<T> {
  readonly #make: () => T | Promise<T>;
  #value: T | undefined;

  /** @param make Never answers `undefined`. */
  constructor(make: () => T | Promise<T>) {
    this.#make = make;
  }

  /**
   * What was made.
   *
   * @throws {Error} If another one stands.
   */
  get value(): T {
    if (this.#value !== undefined) return this.#value;
    throw new Error("Cannot measure: the case was not prepared");
  }

  /** Makes it unless it stands, and lets go of the one that stood. */
  async enter(): Promise<void> {
    if (standing === this) return;
    if (standing !== undefined) standing.#value = undefined;
    standing = this;
    this.#value = await this.#make();
  }
}
