/** Random numbers that are the same in every run. */

/** Whole numbers below 2^32, the same ones for the same seed (mulberry32). */
export function randomNumbers(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return (mixed ^ (mixed >>> 14)) >>> 0;
  };
}

/** Picks one of `size` places, all equally likely. */
export function uniform(size: number, random: () => number): () => number {
  return () => random() % size;
}

/** The session that comes `position`-th in a walk through all of `size`. */
export function scattered(position: number, size: number): number {
  // A prime that divides no power of ten or two: no session comes up twice.
  return position * 12_582_917 % size;
}

/**
 * Picks one of `size` places, the n-th most popular in proportion to 1 / n^0.99,
 * as YCSB draws: by the inverse of the integral. Popular places lie anywhere.
 */
export function zipf(size: number, random: () => number): () => number {
  const most = (size + 1) ** 0.01 - 1;
  return () => {
    const rank = Math.floor((1 + random() / 2 ** 32 * most) ** 100) - 1;
    return scattered(rank, size);
  };
}
