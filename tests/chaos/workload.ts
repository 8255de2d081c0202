/** Browsers that use a site all the time, and note what they are told. */
import { setTimeout as sleep } from "node:timers/promises";
import { type Manager, type Session, SessionError } from "../../mod.ts";
import { requestWith } from "../_browser.ts";
import type { Deed, Outcome, Sight } from "./history.ts";

/** One server of the site. */
export interface Node {
  readonly name: string;
  readonly manager: Manager;
}

/** How a workload goes. */
export interface WorkloadOptions {
  readonly nodes: readonly Node[];
  /** Distinguishes its sessions from those of other workloads on one store. */
  readonly name: string;
  /** How many users there are, each with two browsers. */
  readonly users: number;
  /** Numbers below 1. */
  readonly random: () => number;
  /** Sessions that others use at the same time, and nobody signs out. */
  readonly shared?: readonly Life[];
  /** Is told of each session that somebody signed in to. */
  readonly onSignIn?: (life: Life) => void;
  /** The longest pause between two requests of one tab, in milliseconds. */
  readonly pause: number;
  /** Is told of each request when it begins, as if it had failed, and at its end. */
  readonly note: (number: number, deed: Deed) => void;
}

/** How many tabs of one browser make requests at the same time. */
const TABS = 3;

/** How many requests a session is used for, about. */
const REQUESTS_OF_SESSION = 80;

/** The cookies of how many sessions that are over are tried again. */
const MOST_OVER = 20;

/** Milliseconds since the Unix epoch, with fractions, and never back. */
export function instant(): number {
  return performance.timeOrigin + performance.now();
}

/** A session as its browser knows it. */
export class Life {
  readonly name: string;
  readonly principal: string;
  cookie: string | undefined;
  /** Whether its user has left it, or lost it. */
  isOver = false;

  constructor(name: string, principal: string, cookie?: string) {
    this.name = name;
    this.principal = principal;
    this.cookie = cookie;
  }

  get id(): string | undefined {
    return this.cookie?.split("=")[1]?.slice(0, 24);
  }

  receive(response: Response): void {
    // A cookie of a session that is over is kept, to try it.
    for (const header of response.headers.getSetCookie()) {
      if (!/; Max-Age=0(;|$)/.test(header)) this.cookie = header.split(";")[0];
    }
  }
}

/** All browsers of a site. */
export class Workload {
  readonly #options: WorkloadOptions;
  readonly lives: Life[] = [];
  #count = 0;
  #values = 0;
  #isStopped = false;
  #running: Promise<unknown> = Promise.resolve();

  constructor(options: WorkloadOptions) {
    this.#options = options;
  }

  /** Lets all browsers begin. */
  start(): void {
    const browsers: Promise<void>[] = [];
    for (let user = 0; user < this.#options.users; user++) {
      for (const device of ["laptop", "phone"]) {
        browsers.push(this.#browse(`${this.#options.name}-${user}`, device));
      }
    }
    const { shared = [] } = this.#options;
    for (const life of shared) {
      browsers.push(this.#use(life, 0, false), this.#use(life, 1, false));
    }
    this.#running = Promise.all(browsers);
  }

  /** Waits until all requests under way have ended. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    await this.#running;
  }

  /** Sees whether a session opens at a node. */
  async look(node: Node, life: Life): Promise<Sight | null | undefined> {
    return await this.#request("look", { node, life });
  }

  /** Uses sessions one after the other, each until it is over. */
  async #browse(principal: string, device: string): Promise<void> {
    for (let count = 1; !this.#isStopped; count++) {
      const life = new Life(`${principal}/${device}/${count}`, principal);
      const isIn = await this.signIn(life);
      if (!isIn) {
        await sleep(this.#options.pause);
        continue;
      }
      const tabs = Array.from(
        { length: TABS },
        (_, tab) => this.#use(life, tab),
      );
      await Promise.all(tabs);
    }
  }

  /** Signs somebody in, at any node. */
  async signIn(life: Life): Promise<boolean> {
    const deed = { kind: "sign-in", session: life.name } as const;
    const outcome = await this.#note(
      deed,
      life,
      this.#anyNode(),
      (node) =>
        respond(node, life, (session) => {
          session.signIn(life.principal);
          session.set("session", life.name);
          session.set("log", []);
        }),
    );
    if (outcome !== "acknowledged") return false;
    this.lives.push(life);
    this.#options.onSignIn?.(life);
    return true;
  }

  /** What one tab does until the session is over. */
  async #use(life: Life, tab: number, signsOut = true): Promise<void> {
    const { random, pause } = this.#options;
    while (!this.#isStopped && !life.isOver) {
      await this.#act(life, tab, signsOut);
      await sleep(random() * pause);
    }
  }

  async #act(life: Life, tab: number, signsOut: boolean): Promise<void> {
    const { random } = this.#options;
    const node = this.#anyNode();
    const choice = random();
    if (signsOut && choice < 1 / REQUESTS_OF_SESSION) {
      await this.#signOut(node, life);
    } else if (choice < 0.05) await this.#tryOver(node);
    else if (choice < 0.4) await this.#request("append", { node, life });
    else if (choice < 0.7) await this.#request("put", { node, life, tab });
    else await this.#request("look", { node, life });
  }

  async #signOut(node: Node, life: Life): Promise<void> {
    life.isOver = true;
    const isEverywhere = this.#options.random() < 0.1;
    if (!isEverywhere) {
      await this.#request("sign-out", { node, life });
      return;
    }
    const { principal } = life;
    const deed = { kind: "sign-out-everywhere", session: life.name } as const;
    await this.#note(deed, life, node, async () => {
      await node.manager.destroyAll(principal);
      return { outcome: "acknowledged" };
    });
    for (const other of this.lives) {
      if (other.principal === principal) other.isOver = true;
    }
  }

  /** Uses the cookie of a session that was signed out. */
  async #tryOver(node: Node): Promise<void> {
    const over = this.lives.filter(({ isOver }) => isOver).slice(-MOST_OVER);
    const life = over[Math.floor(this.#options.random() * over.length)];
    if (life !== undefined) await this.look(node, life);
  }

  /** A value that nobody else writes. */
  #nextValue(): string {
    return `${this.#options.name}.${++this.#values}`;
  }

  #anyNode(): Node {
    const { nodes, random } = this.#options;
    return nodes[Math.floor(random() * nodes.length)] as Node;
  }

  /** One request within a session. */
  async #request(
    kind: "append" | "put" | "look" | "sign-out",
    { node, life, tab = 0 }: {
      readonly node: Node;
      readonly life: Life;
      readonly tab?: number;
    },
  ): Promise<Sight | null | undefined> {
    const value = kind === "append" || kind === "put" ? this.#nextValue() : "";
    const key = `${this.#options.name}-tab-${tab}`;
    const deed = {
      kind,
      session: life.name,
      ...(value === "" ? {} : { value }),
      ...(kind === "put" ? { key } : {}),
    };
    let saw: Sight | null | undefined;
    await this.#note(deed, life, node, async () => {
      const told = await respond(node, life, async (session) => {
        saw = sightOf(session);
        if (saw === null) return false;
        if (kind === "append") await append(session, value);
        else if (kind === "put") session.set(key, value);
        else if (kind === "sign-out") session.destroy();
        return true;
      });
      return { ...told, saw };
    });
    if (saw === null) life.isOver = true;
    return saw;
  }

  /** Notes a request when it begins and when it ends. */
  async #note(
    deed: Pick<Deed, "kind" | "session" | "key" | "value">,
    life: Life,
    node: Node,
    run: (node: Node) => Promise<Told>,
  ): Promise<Outcome> {
    const began = instant();
    const { principal } = life;
    const begun = { ...deed, principal, node: node.name, began };
    const { note } = this.#options;
    const number = this.#count++;
    note(number, { ...begun, ended: Infinity, outcome: "failed" });
    const told = await run(node).catch(failed);
    const id = deed.kind === "sign-in" ? life.id : undefined;
    note(number, {
      ...begun,
      ended: instant(),
      outcome: told.outcome,
      ...(told.saw === undefined ? {} : { saw: told.saw }),
      ...(id === undefined ? {} : { id }),
    });
    return told.outcome;
  }
}

/** How a request ended, and what it saw. */
interface Told {
  readonly outcome: Outcome;
  readonly saw?: Sight | null | undefined;
}

/** What an error says of the request that it ended. */
function failed(error: unknown): Told {
  if (!(error instanceof SessionError)) throw error;
  if (error.code === "conflict") return { outcome: "refused" };
  return { outcome: error.code === "gone" ? "gone" : "failed" };
}

/** Answers one request as a site would. */
async function respond(
  { manager }: Node,
  life: Life,
  act: (session: Session) => unknown,
): Promise<Told> {
  const handler = manager.handle(async (_request, session) => {
    const isIn = await act(session);
    return new Response(null, { status: isIn === false ? 401 : 200 });
  });
  const response = await handler(requestWith(life.cookie));
  life.receive(response);
  if (response.status === 200) return { outcome: "acknowledged" };
  return { outcome: response.status === 401 ? "refused" : "failed" };
}

/** Adds a value to the session's log, whoever else does. */
async function append(session: Session, value: string): Promise<void> {
  await session.update("log", (log = []) => [...log as string[], value]);
}

function sightOf(session: Session): Sight | null {
  if (session.principal === undefined) return null;
  const puts = session.keys().filter((key) => key.includes("-tab-"));
  return {
    principal: session.principal,
    session: session.get("session"),
    log: [...(session.get("log") ?? []) as string[]],
    puts: Object.fromEntries(
      puts.map((key) => [key, session.get(key) as string]),
    ),
  };
}
