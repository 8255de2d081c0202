/**
 * One of several processes that use one store at the same time. Prints what it
 * has done, as JSON.
 *
 * @module
 */
import process from "node:process";
import { Manager, type Session, SessionError } from "../mod.ts";
import { openStore, type StoreAddress } from "./_stores.ts";

/** What a worker is told. */
export interface HammerTask {
  readonly store: StoreAddress;
  /** The worker's number. */
  readonly worker: number;
  /** The cookie of the session that all of them use. */
  readonly cookie: string;
  readonly milliseconds: number;
}

/** What a worker has done, as far as the store has acknowledged it. */
export interface HammerReport {
  readonly requests: number;
  readonly increments: number;
  /** The last value written to each of the worker's own keys. */
  readonly written: Readonly<Record<string, number>>;
  /** The ids of its sessions that are signed in. */
  readonly signedIn: readonly string[];
  /** How many secrets were renewed. */
  readonly renewals: number;
  /** What must not happen. */
  readonly faults: readonly string[];
}

const KEYS = 20;

/** The requests of each kind that are made however long they take. */
const LEAST = 20;

/** Does as it is told. */
async function hammer(task: HammerTask): Promise<HammerReport> {
  const { provider, close } = openStore(task.store);
  let renewals = 0;
  const shared = new Manager({ provider, gcInterval: 0, renewInterval: 0 });
  const own = new Manager({
    provider,
    gcInterval: 0,
    renewInterval: 0.05,
    renewGrace: 0.02,
    onEvent: ({ type }) => {
      if (type === "renewed") renewals++;
    },
  });
  const jobs = new SharedSession(shared, task);
  const visitors = new Visitors(own);
  const end = Date.now() + task.milliseconds;
  let requests = 0;
  while (Date.now() < end || requests < 2 * LEAST) {
    await jobs.next();
    await visitors.next();
    requests += 2;
  }
  await Promise.all([shared.close(), own.close()]);
  await close();
  return {
    requests,
    increments: jobs.increments,
    written: jobs.written,
    signedIn: visitors.signedIn(),
    renewals,
    faults: [...jobs.faults, ...visitors.faults],
  };
}

/** Requests of a session that other processes use too. */
class SharedSession {
  readonly #manager: Manager;
  readonly #task: HammerTask;
  readonly written: Record<string, number> = {};
  readonly faults: string[] = [];
  increments = 0;
  #turn = 0;

  constructor(manager: Manager, task: HammerTask) {
    this.#manager = manager;
    this.#task = task;
  }

  async next(): Promise<void> {
    this.#turn++;
    const session = await this.#manager.start(requestWith(this.#task.cookie));
    if (session.isNew) this.faults.push("the shared session was lost");
    if (this.#turn % 2 === 0) await this.#increment(session);
    else await this.#write(session);
  }

  async #increment(session: Session): Promise<void> {
    try {
      await session.update("count", (count) => (count as number) + 1);
      this.increments++;
    } catch (error) {
      // Lost a hundred times in a row: not done, and said so.
      const isConflict = error instanceof SessionError &&
        error.code === "conflict";
      if (!isConflict) throw error;
    }
    await this.#manager.commit(session, new Response());
  }

  async #write(session: Session): Promise<void> {
    const key = `worker ${this.#task.worker} key ${this.#turn % KEYS}`;
    const before = session.get(key);
    if (before !== this.written[key]) {
      this.faults.push(`${key} is ${before}, not ${this.written[key]}`);
    }
    session.set(key, this.#turn);
    await this.#manager.commit(session, new Response());
    this.written[key] = this.#turn;
  }
}

/** Browsers of this process alone, which sign in and out all the time. */
class Visitors {
  readonly #manager: Manager;
  readonly faults: string[] = [];
  readonly #cookies: (string | undefined)[] = [undefined, undefined, undefined];
  /** Cookies of sessions that were signed out. */
  readonly #dead: string[] = [];
  #turn = 0;

  constructor(manager: Manager) {
    this.#manager = manager;
  }

  signedIn(): string[] {
    return this.#cookies.filter((cookie) => cookie !== undefined)
      .map((cookie) => cookie.split("=")[1]!.slice(0, 24));
  }

  async next(): Promise<void> {
    this.#turn++;
    const index = this.#turn % this.#cookies.length;
    if (this.#cookies[index] === undefined) await this.#signIn(index);
    else if (this.#turn % 7 === 0) await this.#signOut(index);
    else await this.#visit(index);
    if (this.#turn % 5 === 0) await this.#tryDead();
  }

  async #signIn(index: number): Promise<void> {
    const session = await this.#manager.start(requestWith(undefined));
    session.signIn("ada");
    this.#keep(index, await this.#manager.commit(session, new Response()));
  }

  async #visit(index: number): Promise<void> {
    const session = await this.#manager.start(
      requestWith(this.#cookies[index]),
    );
    if (session.principal !== "ada") {
      this.faults.push("a browser was signed out");
      this.#cookies[index] = undefined;
    }
    this.#keep(index, await this.#manager.commit(session, new Response()));
  }

  async #signOut(index: number): Promise<void> {
    const cookie = this.#cookies[index] as string;
    const session = await this.#manager.start(requestWith(cookie));
    session.destroy();
    await this.#manager.commit(session, new Response());
    this.#cookies[index] = undefined;
    this.#dead.push(cookie);
  }

  async #tryDead(): Promise<void> {
    const cookie = this.#dead[this.#turn % this.#dead.length];
    if (cookie === undefined) return;
    const session = await this.#manager.start(requestWith(cookie));
    if (!session.isNew) this.faults.push("a destroyed session answered");
  }

  #keep(index: number, response: Response): void {
    const [cookie] = response.headers.getSetCookie();
    if (cookie !== undefined) this.#cookies[index] = cookie.split(";")[0];
  }
}

function requestWith(cookie: string | undefined): Request {
  const headers = cookie === undefined ? {} : { cookie };
  return new Request("http://localhost/", { headers });
}

if (import.meta.main) {
  const task = JSON.parse(process.argv[2] as string) as HammerTask;
  console.log(JSON.stringify(await hammer(task)));
  process.exit(0);
}
