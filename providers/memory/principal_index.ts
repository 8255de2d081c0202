/** Finds sessions by who is signed in. */

/** Finds the slots of the sessions that a principal is signed in with. */
export class PrincipalIndex {
  /** Most principals have one session, and a number is less than a `Set`. */
  readonly #slots = new Map<string, number | Set<number>>();

  add(principal: string, slot: number): void {
    const known = this.#slots.get(principal);
    if (known === undefined) this.#slots.set(principal, slot);
    else if (typeof known === "object") known.add(slot);
    else this.#slots.set(principal, new Set([known, slot]));
  }

  remove(principal: string, slot: number): void {
    const known = this.#slots.get(principal);
    if (typeof known === "object") known.delete(slot);
    if (known === slot || (typeof known === "object" && known.size === 0)) {
      this.#slots.delete(principal);
    }
  }

  /**
   * The slots of a principal. To go on with them follows what is removed and
   * added meanwhile, which comes last.
   */
  slotsOf(principal: string): Iterable<number> {
    const known = this.#slots.get(principal);
    if (known === undefined) return [];
    return typeof known === "object" ? known : [known];
  }

  /** How many slots a principal has. */
  countOf(principal: string): number {
    const known = this.#slots.get(principal);
    if (known === undefined) return 0;
    return typeof known === "object" ? known.size : 1;
  }
}
