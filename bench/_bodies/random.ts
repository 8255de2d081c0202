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

/** The same items in another order. */
export function shuffled<T>(items: readonly T[], random: () => number): T[] {
  const copy = [...items];
  for (let index = copy.length - 1; index > 0; index--) {
    const other = random() % (index + 1);
    const item = copy[index] as T;
    copy[index] = copy[other] as T;
    copy[other] = item;
  }
  return copy;
}

/** Picks one of `size` places, all equally likely. */
export function uniform(size: number, random: () => number): () => number {
  return () => random() % size;
}

/**
 * Picks one of `size` places, the n-th most popular of them in proportion to
 * 1 / n^0.99, as YCSB draws. Popular places lie anywhere.
 */
export function zipf(size: number, random: () => number): () => number {
  const sums = new Float64Array(size);
  let sum = 0;
  for (let rank = 0; rank < size; rank++) {
    sum += (rank + 1) ** -0.99;
    sums[rank] = sum;
  }
  const places = shuffled(Array.from(sums.keys()), random);
  return () => places[firstAbove(sums, random() / 2 ** 32 * sum)] as number;
}

/** The index of the first of ascending numbers that exceeds a limit. */
function firstAbove(numbers: Float64Array, limit: number): number {
  let low = 0;
  let high = numbers.length - 1;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((numbers[middle] as number) > limit) high = middle;
    else low = middle + 1;
  }
  return low;
}
