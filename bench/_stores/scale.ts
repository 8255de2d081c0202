/** What takes many sessions at once, and how long another request waits meanwhile. */
import { setTimeout } from "node:timers/promises";
import type { Provider } from "../../core/provider.ts";
import { mintId } from "../../core/secret/token.ts";
import { emptyObject } from "../../core/value/types.ts";
import { Manager } from "../../mod.ts";
import { newRecord } from "../_cases/population.ts";
import type { Job, Reporter, Section } from "../_harness/section.ts";
import { BACKENDS, STORES } from "./backends.ts";

const IN_FLIGHT = 64;
const DAY = 24 * 3600;
const ADDRESS = "http://localhost/";

/** How often the other request reads its session, in milliseconds. */
const PERIOD = 5;

/** The size is the number of all sessions that are ended at once. */
export const scale: Section = {
  name: "scale",
  about: "what takes many sessions at once, and who waits for it",
  sizes: [40_000],
  trialSize: 400,
  parts: STORES,
  measure,
  minutes: 4,
  memory: 2,
};

async function measure({ part, size }: Job, report: Reporter): Promise<void> {
  const store = await BACKENDS[part]?.(() => "");
  if (store === undefined || typeof store === "string") {
    return report(`Without ${part}: ${store ?? "there is none"}.`);
  }
  const { provider } = store;
  const manager = new Manager({ provider, gcInterval: 0 });
  const limited = new Manager({ provider, gcInterval: 0, maxSessions: 3 });
  const answer = await signIn(manager, "bystander");
  const cookie = answer.headers.getSetCookie()[0]?.split(";")[0] ?? "";
  const request = new Request(ADDRESS, { headers: { cookie } });
  const tell = async (group: string, work: () => Promise<unknown>) => {
    const { took, waited } = await during(work, () => manager.start(request));
    const figure = { table: "ms", group, column: part };
    report({ ...figure, name: "took", value: took });
    report({ ...figure, name: "longest wait of another", value: waited });
  };
  const [listed, evicted, ended] = [size / 200, size / 40, size * 0.08];
  await tell("nothing, for a second", () => setTimeout(1000));
  await fill(provider, listed, () => "listed", 60_000);
  await tell(
    `list of ${listed} sessions of 60 kB`,
    () => manager.list("listed"),
  );
  await fill(provider, evicted, () => "evicted");
  await tell(
    `sign-in that evicts ${evicted}`,
    () => signIn(limited, "evicted"),
  );
  await fill(provider, ended, () => "ended");
  await tell(`destroyAll of ${ended}`, () => manager.destroyAll("ended"));
  await fill(provider, size, (index) => `user-${index >> 1}`);
  let cleared = 0;
  await tell(`destroyEverything of ${size}`, async () => {
    // The other's own session ends as well: then its read finds none.
    cleared = await manager.destroyEverything();
  });
  if (cleared < size) throw new Error(`Cannot clear: ${cleared} of ${size}`);
  await limited.close();
  await manager.close();
  await store.close();
}

/** Stores so many sessions of a user, some at a time. */
async function fill(
  provider: Provider,
  count: number,
  userOf: (index: number) => string,
  bytes = 100,
): Promise<void> {
  const now = Date.now();
  const data = Object.assign(emptyObject(), { text: "x".repeat(bytes) });
  const record = {
    ...newRecord("0".repeat(68), now, DAY),
    data: Object.freeze(data),
    authenticatedAt: now,
  };
  let next = 0;
  const lane = async () => {
    while (next < count) {
      const principal = userOf(next++);
      const some = Object.freeze({ ...record, principal });
      await provider.create(mintId(), some, now);
    }
  };
  await Promise.all(Array.from({ length: IN_FLIGHT }, lane));
}

async function signIn(manager: Manager, principal: string): Promise<Response> {
  return await manager.run(new Request(ADDRESS), (session) => {
    session.signIn(principal);
    return new Response();
  });
}

/** The milliseconds of some work, and those that the slowest read took meanwhile. */
async function during(work: () => Promise<unknown>, read: () => unknown) {
  let waited = 0;
  let isDone = false;
  const reading = (async () => {
    while (!isDone) {
      // From when it should have begun: a process that stands still delays that.
      const due = performance.now() + PERIOD;
      await setTimeout(PERIOD);
      await read();
      waited = Math.max(waited, performance.now() - due);
    }
  })();
  await setTimeout(PERIOD);
  const start = performance.now();
  await work();
  const took = performance.now() - start;
  isDone = true;
  await reading;
  return { took, waited };
}
