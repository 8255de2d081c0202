import {
  bindingText,
  boundName,
  boundValue,
  newBinding,
} from "../../core/device/binding.ts";
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

  /** @param isBound Whether its sessions are bound to devices. */
  constructor(isBound = false) {
    this.manager = new Manager<Visitor>({
      provider: this.#provider,
      deviceBound: isBound ? {} : undefined,
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

  /** Binds sessions, and answers what their browsers send from then on. */
  bind(cookies: readonly string[]): string[] {
    const seed = { ...newBinding(this.#now), from: this.#now, key: KEY };
    return cookies.map((cookie) => {
      const start = cookie.indexOf(COOKIE) + COOKIE.length;
      const id = cookie.slice(start, start + ID_LENGTH);
      const change = { binding: bindingText(seed) };
      const result = this.#provider.update(id, change, {}, this.#now);
      expect(result === "done", "binding a session");
      const deadline = this.#now + IDLE_TIMEOUT * 1000;
      const value = boundValue(seed, id, deadline);
      return `${cookie}; ${boundName("__Host-id", id)}=${value}`;
    });
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

const COOKIE = "__Host-id=";

/** As long as one on P-256, which is all that a page request knows of it. */
const KEY = `E${"k".repeat(86)}`;

function cookieOf(response: Response): string {
  const header = response.headers.get("set-cookie") ?? "";
  return header.slice(0, header.indexOf(";"));
}
