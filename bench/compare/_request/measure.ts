import { busyTime } from "../_clock.ts";
import type { FetchHandler, Listener, Setup } from "./contract.ts";
import { exchange, Incoming, listenerOf } from "./node_exchange.ts";

/** What is measured: the handler, and whether requests bring a cookie. */
export interface Scenario {
  readonly action: "read" | "write";
  readonly cookies: readonly string[];
}

/** Microseconds for each request. */
export interface Cost {
  /** Without a session. */
  readonly bare: number;
  /** With a session. */
  readonly whole: number;
}

/** Requests between two looks at the clock. */
const BATCH = 256;

/** Requests under way at the same time, as on a server. */
const TOGETHER = 32;

/** Answers the milliseconds of one batch. */
type Batch = () => Promise<number>;

/** Measures a set-up and its bare handler in turns, on the same requests. */
export async function measure(
  setup: Setup,
  { action, cookies }: Scenario,
  milliseconds: number,
): Promise<Cost> {
  const headers = headersInTurn(cookies);
  const [bare, whole] = setup.kind === "fetch"
    ? [
      fetchBatch(setup.bare, headers),
      fetchBatch(setup.handler(action), headers),
    ]
    : [
      nodeBatch(setup.bare, headers),
      nodeBatch(listenerOf(setup, action), headers),
    ];
  // Has the engine compile it.
  await run(bare, whole, milliseconds / 2);
  return await run(bare, whole, milliseconds);
}

async function run(
  bare: Batch,
  whole: Batch,
  milliseconds: number,
): Promise<Cost> {
  let [bareTime, wholeTime, batches] = [0, 0, 0];
  while (wholeTime < milliseconds || batches < 2) {
    bareTime += await bare();
    wholeTime += await whole();
    batches++;
  }
  const requests = batches * BATCH;
  return {
    bare: bareTime / requests * 1000,
    whole: wholeTime / requests * 1000,
  };
}

/** Visitors in an order that has nothing to do with when they signed up. */
function headersInTurn(cookies: readonly string[]): () => HeadersInit {
  const order = cookies.map((cookie) => ({ cookie, at: Math.random() }));
  order.sort((a, b) => a.at - b.at);
  let next = 0;
  return () => {
    const found = order[next++ % order.length];
    return found === undefined ? {} : { cookie: found.cookie };
  };
}

function fetchBatch(handler: FetchHandler, headers: () => HeadersInit): Batch {
  return async () => {
    const requests = Array.from(
      { length: BATCH },
      () => new Request("http://localhost/", { headers: headers() }),
    );
    let right = 0;
    const start = busyTime();
    for (let at = 0; at < BATCH; at += TOGETHER) {
      const answers: (Response | Promise<Response>)[] = [];
      for (let index = at; index < at + TOGETHER; index++) {
        answers.push(handler(requests[index] as Request));
      }
      for (const answer of answers) {
        const response = answer instanceof Promise ? await answer : answer;
        if (response.status === 200) right++;
      }
    }
    return checked(busyTime() - start, right);
  };
}

function nodeBatch(listener: Listener, headers: () => HeadersInit): Batch {
  return async () => {
    const requests = Array.from(
      { length: BATCH },
      () => new Incoming(headers() as Record<string, string>),
    );
    let right = 0;
    const start = busyTime();
    for (let at = 0; at < BATCH; at += TOGETHER) {
      const answers = requests.slice(at, at + TOGETHER)
        .map((request) => exchange(listener, request));
      for (const answer of answers) {
        if ((await answer).statusCode === 200) right++;
      }
    }
    return checked(busyTime() - start, right);
  };
}

function checked(milliseconds: number, right: number): number {
  if (right === BATCH) return milliseconds;
  throw new Error(
    `Cannot measure: ${right} of ${BATCH} answers are right`,
  );
}
