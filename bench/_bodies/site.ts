import { ID_LENGTH } from "../../core/secret/token.ts";
import { Manager } from "../../mod.ts";
import { MemoryProvider } from "../../providers/memory.ts";
import { expect } from "./bench_case.ts";
import { IDLE_TIMEOUT, START } from "./population.ts";

/** What a session of a {@linkcode Site} holds. */
export interface Visitor {
  visits: number;
}

/** A manager on memory, whose clock is moved by hand. */
export class Site {
  readonly #provider = new MemoryProvider({
    maxSessions: Infinity,
    maxBytes: Infinity,
  });
  readonly manager: Manager<Visitor>;
  #now = START;

  constructor() {
    this.manager = new Manager<Visitor>({
      provider: this.#provider,
      gcInterval: 0,
      idleTimeout: IDLE_TIMEOUT,
      absoluteTimeout: IDLE_TIMEOUT,
      now: () => this.#now,
    });
  }

  /** Moves the clock by a millisecond. */
  tick(): void {
    this.#now++;
  }

  /** Moves the clock by seconds. */
  wait(seconds: number): void {
    this.#now += seconds * 1000;
  }

  /** Stores sessions as requests do, and answers what their browsers send. */
  async signUp(count: number): Promise<string[]> {
    const before = this.#provider.stats().sessions;
    const cookies: string[] = [];
    for (let left = count; left > 0; left--) {
      const session = await this.manager.start(new Request("http://localhost"));
      session.set("visits", 1);
      const response = await this.manager.commit(session, new Response());
      cookies.push(`theme=dark; ${cookieOf(response)}`);
    }
    const { sessions } = this.#provider.stats();
    expect(sessions === before + count, "filling the store");
    return cookies;
  }

  /**
   * Removes the sessions that responses handed out cookies of.
   *
   * @throws {Error} If one has no cookie, or the cookie no session.
   */
  removeAll(responses: readonly Response[]): void {
    for (const response of responses) {
      const cookie = cookieOf(response);
      const start = cookie.indexOf("=") + 1;
      const id = cookie.slice(start, start + ID_LENGTH);
      const result = this.#provider.destroy(id, {}, this.#now);
      expect(result === "done", "a request that sets the cookie");
    }
  }
}

function cookieOf(response: Response): string {
  const header = response.headers.get("set-cookie") ?? "";
  return header.slice(0, header.indexOf(";"));
}
