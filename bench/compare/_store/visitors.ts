import type { Buffer } from "node:buffer";
import { randomNumbers, uniform, zipf } from "../../_bodies/random.ts";
import {
  drawRows,
  idAt,
  randomRows,
  secretHashOf,
  Tape,
} from "../../_bodies/tape.ts";

/** Who has a session, and whose requests come: the same for every contestant. */
export class Visitors {
  readonly size: number;
  readonly #rows: Buffer;
  readonly #random: () => number;

  constructor(size: number) {
    this.size = size;
    this.#random = randomNumbers(size);
    this.#rows = randomRows(size, this.#random);
  }

  /** An id of its own for each call, as if it had just been minted. */
  id(index: number): string {
    return idAt(this.#rows, index);
  }

  /** What a store keeps of the secret. */
  secretHash(index: number): string {
    return secretHashOf(this.#rows, index);
  }

  /** Requests to all sessions alike. */
  uniform(count: number): Tape {
    return this.#draw(count, uniform(this.size, this.#random));
  }

  /** Requests of which few sessions get many. */
  skewed(count: number): Tape {
    return this.#draw(count, zipf(this.size, this.#random));
  }

  #draw(count: number, pick: () => number): Tape {
    return new Tape(drawRows(this.#rows, count, pick));
  }
}
