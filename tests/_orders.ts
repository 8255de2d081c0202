/**
 * Plays requests of one session against each other in every order of their
 * steps: a request is sent, its calls reach the store one by one and late, its
 * answer is delivered or lost.
 *
 * @module
 */
import {
  Manager,
  type ManagerOptions,
  type Provider,
  type Session,
  type SessionEvent,
  type SessionRecord,
  type UpdateResult,
} from "../mod.ts";
import {
  hashFamily,
  hashSecret,
  mintId,
  mintSecret,
  mintSibling,
  parseToken,
} from "../core/secret/token.ts";
import { ModelProvider } from "./_model_provider.ts";

/** Midnight of some day, in milliseconds since the Unix epoch. */
const START = Date.UTC(2030, 0, 1);

/** How far the second machine's clock is behind, in milliseconds. */
const BEHIND = 2000;

/** What passes with every step, in milliseconds. */
const STEP = 10;

/** In seconds. */
export const INTERVAL = 900;
export const GRACE = 30;

/** What a request does, once its session is there. */
export type Act = (session: Session, play: Play, name: string) => unknown;

/** One request of a play. */
export interface Part {
  /** Names what it does, for the message of a failure. */
  readonly act: string;
  readonly do: Act;
  /** Who makes it: the owner's browser, or somebody with a cookie from before. */
  readonly by: "owner" | "copy";
  /** Which of the two machines answers. */
  readonly on: 0 | 1;
  /** What becomes of its answer. */
  readonly answer: "delivered" | "lost" | "bare";
  /** Whether its handler takes a step of its own. */
  readonly isLong?: boolean;
  /** The call whose answer the store loses, after it was done. */
  readonly loses?: "touch" | "update" | "destroy";
}

/** How the session stands when a play begins. */
export interface Scene {
  /** Whether somebody is signed in. */
  readonly isSignedIn: boolean;
  /** How old the secret is, in seconds. */
  readonly age: number;
  /** Whether the secret before is still waiting, and whom the browser has. */
  readonly waiting?: "browser-has-new" | "browser-has-old";
  /** Seconds that pass in one step of their own, while no call or answer is under way. */
  readonly jump?: number;
  readonly options?: ManagerOptions;
}

/** What became of a part. */
export interface Outcome {
  readonly part: Part;
  readonly name: string;
  /** Steps since the play began, when it was sent and when it was answered. */
  sentAt: number;
  answeredAt: number;
  /** What it was answered with; a response or an error. */
  response: Response | undefined;
  error: unknown;
  /** The cookie that it came with. */
  cookie: string | undefined;
  /** The cookie that it was answered with, whether it arrived or not. */
  setCookie: string | undefined;
  readonly events: SessionEvent[];
  /** Updates of the counter that were acknowledged. */
  counted: number;
  /** Whether the handler found a session. */
  wasOpened: boolean;
  /** The step at which its key was written, and its sign-in stored. */
  writtenAt: number;
  signedInAt: number;
  /** The step at which it gave the session itself, and no new one, a family. */
  replacedAt: number;
}

interface Call {
  readonly of: Outcome | undefined;
  readonly name: string;
  readonly fire: () => void;
}

/** One play of some parts in one order. */
export class Play {
  readonly table = new ModelProvider();
  readonly id: string = mintId();
  readonly outcomes: Outcome[];
  readonly scene: Scene;
  /** The secret that the play began with, and one of before a renewal. */
  readonly first: string = mintSecret();
  now = START;
  steps = 0;
  /** The owner's cookie. */
  jar: string | undefined;
  readonly #managers: readonly Manager[];
  /** Managers without a gate. */
  #openers: readonly Manager[] | undefined;
  #calls: Call[] = [];
  #works: Call[] = [];
  #running: Outcome | undefined;
  #hasJumped = false;

  constructor(scene: Scene, parts: readonly Part[]) {
    this.scene = scene;
    this.outcomes = parts.map((part, index) => ({
      part,
      name: `${index}`,
      sentAt: -1,
      answeredAt: -1,
      response: undefined,
      error: undefined,
      cookie: undefined,
      setCookie: undefined,
      events: [],
      counted: 0,
      wasOpened: false,
      writtenAt: -1,
      signedInAt: -1,
      replacedAt: -1,
    }));
    this.#managers = [0, BEHIND].map((behind) =>
      new Manager({
        provider: this.#gated(),
        gcInterval: 0,
        renewInterval: INTERVAL,
        renewGrace: GRACE,
        now: () => this.now - behind,
        onEvent: (event) => this.#running?.events.push(event),
        ...scene.options,
      })
    );
    this.#begin(scene);
  }

  /** The session's record as it is now. */
  get record(): SessionRecord | undefined {
    return this.table.read(this.id, this.now);
  }

  /** The cookie of before the play, as a copy or a planted one. */
  get oldCookie(): string {
    return `__Host-id=${this.id}${this.first}`;
  }

  /** Opens what a cookie opens, without a gate. */
  async open(cookie: string | undefined, on: 0 | 1 = 0): Promise<Session> {
    const manager = this.#openers ??= [0, BEHIND].map((behind) =>
      new Manager({
        provider: this.table,
        gcInterval: 0,
        renewInterval: INTERVAL,
        renewGrace: GRACE,
        onReuse: "report",
        now: () => this.now - behind,
      })
    );
    return await manager[on]!.start(requestOf(cookie));
  }

  /** Whether a cookie opens a session. */
  async isOpen(cookie: string | undefined): Promise<boolean> {
    const [one, two] = [await this.open(cookie), await this.open(cookie, 1)];
    return !one.isNew || !two.isNew;
  }

  /** What can happen next. */
  get choices(): readonly (() => void)[] {
    const choices: (() => void)[] = [];
    for (const outcome of this.outcomes) {
      if (outcome.sentAt === -1) choices.push(() => this.#send(outcome));
      else if (outcome.answeredAt === -2) {
        choices.push(() => this.#deliver(outcome));
      }
    }
    for (const call of [...this.#calls, ...this.#works]) {
      choices.push(() => this.#fire(call));
    }
    const isUnderWay = this.#calls.length > 0 ||
      this.outcomes.some(({ answeredAt }) => answeredAt === -2);
    const isJumpPossible = this.scene.jump !== undefined && !this.#hasJumped &&
      !isUnderWay;
    if (isJumpPossible) choices.push(() => this.#jump());
    return choices;
  }

  /** Takes a choice, and waits until nothing moves any more. */
  async take(choice: () => void): Promise<void> {
    this.steps++;
    this.now += STEP;
    choice();
    await quiet();
    this.#running = undefined;
  }

  /** A step of a handler's own. */
  work(outcome: Outcome): Promise<void> {
    return new Promise((resolve) => {
      this.#works.push({ of: outcome, name: "work", fire: resolve });
    });
  }

  #begin({ isSignedIn, age, waiting }: Scene): void {
    const renewedAt = this.now - age * 1000;
    const next = mintSibling(this.first);
    const current = waiting === undefined ? this.first : next;
    const family = hashFamily(this.first);
    this.table.create(this.id, {
      data: Object.freeze(Object.setPrototypeOf({ count: 0 }, null)),
      secretHash: hashSecret(current),
      family,
      renewedAt,
      previous: waiting === undefined
        ? undefined
        : { secretHash: hashSecret(this.first), family, until: "confirmed" },
      principal: isSignedIn ? "ada" : undefined,
      authenticatedAt: isSignedIn ? renewedAt : undefined,
      createdAt: renewedAt,
      accessedAt: this.now - 1000,
      idleTimeout: 3600,
      absoluteTimeout: 43_200,
      persistent: false,
    }, this.now);
    const held = waiting === "browser-has-new" ? next : this.first;
    this.jar = `__Host-id=${this.id}${held}`;
  }

  #send(outcome: Outcome): void {
    const { part } = outcome;
    this.#running = outcome;
    outcome.sentAt = this.steps;
    outcome.cookie = part.by === "owner" ? this.jar : this.oldCookie;
    const handler = this.#managers[part.on]!.handle(
      async (_request, session) => {
        outcome.wasOpened = !session.isNew;
        if (part.isLong) await this.work(outcome);
        await part.do(session, this, outcome.name);
        return part.answer === "bare" ? undefined : new Response();
      },
    );
    handler(requestOf(outcome.cookie)).then((response) => {
      outcome.response = response;
      outcome.setCookie = cookieOf(response);
    }, (error) => {
      outcome.error = error;
    }).then(() => {
      outcome.answeredAt = -2;
      if (part.by !== "owner" || part.answer !== "delivered") {
        outcome.answeredAt = this.steps;
      }
    });
  }

  #deliver(outcome: Outcome): void {
    outcome.answeredAt = this.steps;
    for (const header of outcome.response?.headers.getSetCookie() ?? []) {
      this.jar = /; Max-Age=0(;|$)/.test(header)
        ? undefined
        : header.split(";")[0];
    }
  }

  #fire(call: Call): void {
    this.#running = call.of;
    this.#calls = this.#calls.filter((other) => other !== call);
    this.#works = this.#works.filter((other) => other !== call);
    call.fire();
  }

  #jump(): void {
    this.#hasJumped = true;
    this.now += (this.scene.jump ?? 0) * 1000;
  }

  #created(args: Parameters<Provider["create"]>): boolean {
    const of = this.#running;
    if (of !== undefined && args[1].principal !== undefined) {
      of.signedInAt = this.steps;
    }
    const [id, record, now] = args;
    return this.table.create(id, record, now);
  }

  /** Notes what an update did, whatever its guard was. */
  #updated(
    of: Outcome | undefined,
    args: Parameters<Provider["update"]>,
  ): UpdateResult {
    const before = this.table.records.get(args[0]);
    const [id, change, guard, now] = args;
    const result = this.table.update(id, change, guard, now);
    if (of === undefined || result !== "done") return result;
    const after = this.table.records.get(args[0]);
    const isReplaced = after?.family !== before?.family;
    if (isReplaced) of.signedInAt = this.steps;
    if (args[0] !== this.id) return result;
    if (isReplaced) of.replacedAt = this.steps;
    if (`k${of.name}` in (args[1].set ?? {})) of.writtenAt = this.steps;
    return result;
  }

  /** A provider whose calls reach the table when they are told to. */
  #gated(): Provider {
    const call = <T>(name: string, run: () => T): Promise<T> => {
      const of = this.#running;
      return new Promise((resolve, reject) => {
        const fire = () => {
          const answer = run();
          if (of?.part.loses === name) reject(new Error("connection reset"));
          else resolve(answer);
        };
        this.#calls.push({ of, name, fire });
      });
    };
    const { table } = this;
    return {
      touchInterval: 0,
      create: (...args) => call("create", () => this.#created(args)),
      read: (...args) => call("read", () => table.read(...args)),
      update: (...args) => {
        const of = this.#running;
        return call("update", () => this.#updated(of, args));
      },
      touch: (id, now) => call("touch", () => table.touch(id, now)),
      destroy: (id, guard, now) =>
        call("destroy", () => table.destroy(id, guard, now)),
      list: (...args) => call("list", () => table.list(...args)),
      destroyAll: (principal, except) =>
        call("destroyAll", () => table.destroyAll(principal, except)),
      gc: () => 0,
      clear: () => 0,
      close: () => {},
    };
  }
}

/** Microtasks that a step needs at most until it waits for the next one. */
const TURNS = 40;

async function quiet(): Promise<void> {
  for (let turn = 0; turn < TURNS; turn++) await undefined;
}

function requestOf(cookie: string | undefined) {
  return {
    method: "GET",
    url: "http://localhost/",
    headers: {
      get: (name: string) => name === "cookie" ? cookie ?? null : null,
    },
  } as unknown as Request;
}

function cookieOf(response: Response | undefined): string | undefined {
  const [header] = response?.headers.getSetCookie() ?? [];
  return header === undefined || header.includes("Max-Age=0")
    ? undefined
    : header.split(";")[0];
}

/** The family of a cookie's secret, as it is stored. */
export function familyOf(cookie: string): string {
  return hashFamily(parseToken(cookie.split("=")[1] ?? "").secret);
}

type Check = (play: Play) => Promise<void>;

/**
 * Plays parts in every order of their steps.
 *
 * @param check Called at the end of each play; throws if a promise is broken.
 * @returns How many orders there were.
 */
export async function everyOrder(
  scene: Scene,
  parts: readonly Part[],
  check: Check,
): Promise<number> {
  let path: number[] = [];
  for (let count = 1;; count++) {
    const wanted = path;
    const taken = await playOne(scene, parts, check, (at) => wanted[at] ?? 0);
    const last = lastOpen(taken);
    if (last === -1) return count;
    path = taken.slice(0, last).map(({ choice }) => choice);
    path.push(taken[last]!.choice + 1);
  }
}

/**
 * Plays parts in some orders of their steps, for those of which there are too
 * many: each choice by chance, which begins at a seed.
 *
 * @returns How many orders were played.
 */
export async function someOrders(
  scene: Scene,
  parts: readonly Part[],
  check: Check,
  { count, seed }: { readonly count: number; readonly seed: number },
): Promise<number> {
  let state = seed;
  for (let played = 0; played < count; played++) {
    await playOne(scene, parts, check, (_at, width) => {
      state = Math.imul(state, 1_664_525) + 1_013_904_223 | 0;
      return (state >>> 8) % width;
    });
  }
  return count;
}

interface Taken {
  readonly choice: number;
  /** How many choices there were. */
  readonly width: number;
}

async function playOne(
  scene: Scene,
  parts: readonly Part[],
  check: Check,
  choose: (at: number, width: number) => number,
): Promise<Taken[]> {
  const play = new Play(scene, parts);
  const taken: Taken[] = [];
  for (;;) {
    const { choices } = play;
    if (choices.length === 0) break;
    const choice = choose(taken.length, choices.length);
    taken.push({ choice, width: choices.length });
    await play.take(choices[choice]!);
  }
  try {
    await check(play);
  } catch (error) {
    const order = taken.map(({ choice }) => choice).join();
    throw new Error(
      `In order ${order} of ${JSON.stringify(parts)} on ${
        JSON.stringify(scene)
      }: ${(error as Error).message}`,
    );
  }
  return taken;
}

/** The last step at which there was another choice. */
function lastOpen(taken: readonly Taken[]): number {
  return taken.findLastIndex(({ choice, width }) => choice + 1 < width);
}
