/** Keeps one large thing in memory at a time. */

/** What is on stage: those before would make every collection of garbage slower. */
let standing: Stage<unknown> | undefined;

/** Something large that several cases use, made when the first is prepared. */
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
  async enter(): Promise<T> {
    if (standing !== this) {
      if (standing !== undefined) standing.#value = undefined;
      standing = this;
      this.#value = await this.#make();
    }
    return this.value;
  }
}
