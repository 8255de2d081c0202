/** Where a scenario is played: managers, browsers, servers, and what they did. */
import { setTimeout as sleep } from "node:timers/promises";
import { randomNumbers } from "../../bench/_cases/random.ts";
import {
  Manager,
  type ManagerOptions,
  type Provider,
  SessionError,
  type SessionEvent,
} from "../../mod.ts";
import type { OpenStore } from "../_stores.ts";
import {
  check,
  type CheckOptions,
  type Deed,
  type DeedKind,
  type Listing,
  type Violation,
} from "./history.ts";
import { instant, Life, type Node, Workload } from "./workload.ts";

/** How long a call of a store may take, in seconds. */
const TIMEOUT = 1;

/** No request makes more calls than that, one after the other, each in vain. */
const MOST_CALLS = 8;

/** How far the clocks of the nodes are off, in milliseconds. */
const CLOCKS: readonly number[] = [0, 150, -200];

/** How long a client is given to close, in milliseconds. */
const CLOSING = 500;

/** What a scenario came to. */
export interface Report {
  readonly requests: number;
  readonly acknowledged: number;
  readonly failed: number;
  readonly violations: readonly Violation[];
  /** Whether all could be looked at afterwards. */
  readonly isJudged: boolean;
  /** How many events there were of each type. */
  readonly events: Readonly<Record<string, number>>;
  /** The longest request, in milliseconds. */
  readonly longest: number;
  /**
   * Until when requests failed, in seconds since the trouble was over; 0 if none
   * did, `undefined` if they failed to the end.
   */
  readonly back: number | undefined;
  /** How long requests failed in all, in seconds from the first to the last. */
  readonly failing: number;
}

/** How the managers and the browsers of a scenario are made. */
export interface Cast {
  /** Opens the store for one manager, with connections of its own. */
  readonly open: () => Promise<OpenStore> | OpenStore;
  readonly options?: ManagerOptions;
  /** How far the clocks of the managers are off, in milliseconds. */
  readonly clocks?: readonly number[];
  readonly users?: number;
  readonly pause?: number;
}

/** A scenario as it is played. */
export class Stage {
  /** How long a calm lasts, in seconds, unless it says so. */
  readonly seconds: number;
  readonly random: () => number;
  readonly #owned: { stop(): unknown }[] = [];
  readonly #deeds = new Map<string, Deed>();
  readonly #events: Record<string, number> = {};
  readonly #nodes: Node[] = [];
  #cast: Cast | undefined;
  #isJudged = false;
  #workload: Workload | undefined;
  #trouble: { from: number; to: number } | undefined;
  #served: readonly DeedKind[] = [];

  constructor(seconds: number, seed: number) {
    this.seconds = seconds;
    const numbers = randomNumbers(seed);
    this.random = () => numbers() / 2 ** 32;
  }

  /** Stops something when the scenario is over, the latest first. */
  own<T extends { stop(): unknown }>(owned: T): T {
    this.#owned.push(owned);
    return owned;
  }

  /** Opens the managers and lets the browsers begin. */
  async begin(cast: Cast): Promise<void> {
    this.#cast = cast;
    const { clocks = CLOCKS, users = 4, pause = 20 } = cast;
    for (const [index, clock] of clocks.entries()) {
      this.#nodes.push(await this.#openNode(`node ${index + 1}`, clock));
    }
    this.#workload = new Workload({
      nodes: this.#nodes,
      name: "user",
      users,
      random: this.random,
      pause,
      note: (number, deed) => this.note(`${number}`, deed),
    });
    this.#workload.start();
    await this.calm();
  }

  /** Signs users in to sessions that others are to use. */
  async share(count: number): Promise<Life[]> {
    const lives = Array.from(
      { length: count },
      (_, index) => new Life(`shared-${index}`, `shared-${index}`),
    );
    for (const life of lives) await this.#workload?.signIn(life);
    return lives;
  }

  /** Notes what a client did. */
  note(key: string, deed: Deed): void {
    this.#deeds.set(key, deed);
  }

  /** Lets time pass. */
  async calm(seconds: number = this.seconds): Promise<void> {
    await sleep(seconds * 1000);
  }

  /**
   * Brings trouble about and ends it.
   *
   * @param served What must not fail meanwhile.
   */
  async trouble(
    run: () => Promise<unknown>,
    served: readonly DeedKind[] = [],
  ): Promise<void> {
    const from = instant();
    this.#trouble = { from, to: Infinity };
    this.#served = served;
    await run();
    this.#trouble = { from, to: instant() };
  }

  /** Waits until all is quiet, looks at every session, and checks. */
  async end(
    options: CheckOptions = {},
    others: readonly Life[] = [],
  ): Promise<Report> {
    const workload = this.#workload as Workload;
    await workload.stop();
    const back = this.#back();
    const judge = await this.#openNode("judge", 0);
    const lives = [...workload.lives, ...others];
    const users = Map.groupBy(lives, ({ principal }) => principal);
    const listings = await this.#judge(judge, users);
    // What cannot be looked at afterwards cannot be found right.
    this.#isJudged = listings.length === users.size;
    return this.#report(listings, { back, ...options });
  }

  /** Looks at every session by a manager that had no part in it. */
  async #judge(
    judge: Node,
    users: ReadonlyMap<string, readonly Life[]>,
  ): Promise<Listing[]> {
    const listings: Listing[] = [];
    for (const [principal, own] of users) {
      const looks = await this.#lookAt(own, judge);
      const infos = await judge.manager.list(principal).catch(failed);
      if (looks === undefined || infos === undefined) continue;
      const listed = infos.map(({ id }) => id);
      listings.push({ principal, listed, opened: looks });
    }
    return listings;
  }

  /** The ids of those that open, unless one cannot be looked at. */
  async #lookAt(
    lives: readonly Life[],
    judge: Node,
  ): Promise<string[] | undefined> {
    const workload = this.#workload as Workload;
    const looks = await Promise.all(
      lives.map(async (life) => {
        const saw = await workload.look(judge, life);
        return { id: life.id as string, life, saw };
      }),
    );
    if (looks.some(({ saw }) => saw === undefined)) return undefined;
    return looks.filter(({ life, saw }) => saw?.session === life.name)
      .map(({ id }) => id);
  }

  #report(
    listings: readonly Listing[],
    { back, ...options }: CheckOptions & { readonly back: number | undefined },
  ): Report {
    const deeds = [...this.#deeds.values()];
    const serves = this.#trouble && { kinds: this.#served, ...this.#trouble };
    const patience = MOST_CALLS * TIMEOUT * 1000;
    const violations = check({ deeds, listings }, {
      patience,
      ...(serves === undefined ? {} : { serves }),
      ...options,
    });
    const failures = failuresOf(deeds);
    const count = (outcome: string) =>
      deeds.filter((deed) => deed.outcome === outcome).length;
    return {
      requests: deeds.length,
      acknowledged: count("acknowledged"),
      failed: count("failed"),
      violations,
      isJudged: this.#isJudged,
      events: this.#events,
      longest: Math.round(
        deeds.reduce(
          (most, deed) => Math.max(most, finite(deed.ended - deed.began)),
          0,
        ),
      ),
      back,
      failing: seconds(
        (failures.at(-1)?.ended ?? 0) - (failures[0]?.began ?? 0),
      ),
    };
  }

  /** Closes and stops everything. */
  async close(): Promise<void> {
    for (const owned of this.#owned.splice(0).reverse()) {
      await Promise.race([owned.stop(), sleep(5000)]);
    }
  }

  async #openNode(name: string, clock: number): Promise<Node> {
    const { open, options = {} } = this.#cast as Cast;
    const { provider, close } = await open();
    const manager = this.#makeManager(provider, {
      now: () => Date.now() + clock,
      ...options,
    });
    const stop = async () => {
      await manager.close().catch(() => {});
      // A client whose connection is silent may never come to an end.
      await Promise.race([close().catch(() => {}), sleep(CLOSING)]);
    };
    this.own({ stop });
    return { name, manager };
  }

  #makeManager(provider: Provider, options: ManagerOptions = {}): Manager {
    return new Manager({
      provider,
      timeout: TIMEOUT,
      touchInterval: 0.2,
      gcInterval: 1,
      renewInterval: 1,
      renewGrace: 0.5,
      onEvent: (event) => this.#count(event),
      ...options,
    });
  }

  #count(event: SessionEvent): void {
    const name = event.type === "refused"
      ? `refused ${event.reason}`
      : event.type;
    this.#events[name] = (this.#events[name] ?? 0) + 1;
  }

  /** When the last request failed, in seconds after the trouble. */
  #back(): number | undefined {
    const { to } = this.#trouble ?? { to: Infinity };
    const deeds = [...this.#deeds.values()];
    for (const { name } of this.#nodes) {
      const own = deeds.filter(({ node }) => node === name);
      const last = own.sort((a, b) => a.ended - b.ended).at(-1);
      if (last?.outcome === "failed") return undefined;
    }
    const last = failuresOf(deeds).at(-1);
    return last === undefined ? 0 : Math.max(0, seconds(last.ended - to));
  }
}

/** Those that a killed process left without an end count for nothing. */
function finite(milliseconds: number): number {
  return Number.isFinite(milliseconds) ? milliseconds : 0;
}

/** A list that failed, as a store in trouble may. */
function failed(error: unknown): undefined {
  if (!(error instanceof SessionError)) throw error;
  return undefined;
}

function failuresOf(deeds: readonly Deed[]): Deed[] {
  return deeds.filter(({ outcome, ended }) =>
    outcome === "failed" && Number.isFinite(ended)
  )
    .sort((a, b) => a.ended - b.ended);
}

function seconds(milliseconds: number): number {
  return Math.round(milliseconds / 10) / 100;
}
