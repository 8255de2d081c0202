import { setTimeout } from "node:timers/promises";
import type { Contestant } from "./contract.ts";
import { answerOf, fill, measureRequests } from "./measure.ts";
import { Visitors } from "./visitors.ts";

/** How long a session lives that is to expire, in milliseconds. */
const TTL = 200;

/** How long one lives that is not. */
const LONG_TTL = 3_600_000;

/** How often a check is repeated that a busy machine made meaningless. */
const ATTEMPTS = 20;

/**
 * Puts a contestant through what the figures take for granted.
 *
 * @throws {Error} If one of its answers is wrong.
 */
export async function check(
  contestant: Contestant,
  visitors: Visitors,
): Promise<void> {
  const expect = (isRight: boolean, what: string) => {
    if (!isRight) throw wrong(contestant, what);
  };
  const store = contestant.open(visitors.size, LONG_TTL);
  await fill(store, visitors);
  const id = visitors.id(0);
  expect(await answerOf(store.find, id), "finding a session");
  expect(await answerOf(store.use, id), "using a session");
  const stranger = id.toLowerCase() + id.toUpperCase();
  expect(!await answerOf(store.find, stranger), "finding a stranger");
  expect(!await answerOf(store.use, stranger), "using a stranger");
  await measureRequests(store.touch, visitors.skewed(1000), 1000);
  expect(store.size() === visitors.size, "the size after touching");
  store.collect?.();
  expect(store.size() === visitors.size, "collecting when none has expired");
  if (contestant.expires) await checkExpiry(contestant);
}

/** A session that is touched outlives one that is not. */
async function checkExpiry(contestant: Contestant): Promise<void> {
  const visitors = new Visitors(2);
  const [id, other] = [visitors.id(0), visitors.id(1)];
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const store = contestant.open(2, TTL);
    const created = performance.now();
    await fill(store, visitors);
    await setTimeout(TTL * 0.6);
    await answerOf(store.touch, id);
    const inTime = performance.now() - created < TTL;
    const touched = performance.now();
    await setTimeout(TTL * 0.6);
    const isFound = await answerOf(store.find, id);
    // A busy machine can sleep past the deadline; that tells nothing.
    if (!inTime || performance.now() - touched >= TTL) continue;
    if (!isFound) throw wrong(contestant, "touching a session");
    if (!await answerOf(store.find, other)) return;
    throw wrong(contestant, "expiry");
  }
  throw new Error(
    `Cannot measure ${contestant.name}: the machine is too busy to check it`,
  );
}

function wrong({ name }: Contestant, what: string): Error {
  return new Error(`Cannot measure ${name}: ${what} is wrong`);
}
