/**
 * A browser that keeps keys of its own and proves them, as Chromium 156 was seen
 * to do it.
 *
 * @module
 */
import type { Session } from "../mod.ts";
import { Jar } from "../testing.ts";
import type { Site } from "./_browser.ts";
import { type Algorithm, DeviceSigner } from "./_device_proofs.ts";

/** What becomes of one request on its way. */
export type Fate =
  | "arrives"
  | "is lost"
  | "is answered in vain"
  | "is answered with 503";

/** Decides what becomes of a request to this path. */
export type Network = (path: string) => Fate;

/** What a page does with its session. */
export type Visit = (session: Session, request: Request) => unknown;

/** How a page is asked for. */
export interface VisitOptions {
  /** The answer that the page gives. */
  readonly response?: Response;
  readonly url?: string;
  /**
   * Whether the visit began on another site, so that what the browser posts by
   * itself has no `SameSite` cookies with it.
   */
  readonly isFromElsewhere?: boolean;
}

/** A key, and what a browser knows about its session. */
interface Kept {
  readonly id: string;
  readonly signer: DeviceSigner;
  readonly name: string;
  readonly url: string;
  challenge: string | undefined;
  /** What was signed last, for a challenge that does not change. */
  signed: { readonly challenge: string; readonly proof: string } | undefined;
  failures: number;
  waitsUntil: number;
}

/** Browsers prove ahead of time when less than this is left, in milliseconds. */
const AHEAD = 120_000;

/** Signatures for a site in so many milliseconds. */
const QUOTA = { count: 6, time: 540_000 };

const MAX_REGISTRATIONS = 3;
const MAX_POSTS = 4;
const MAX_BACKOFF = 480_000;

const FORGETTING: ReadonlySet<number> = new Set([400, 401, 404, 410, 429]);

const NEVER_LOST: Network = () => "arrives";

/** A browser that binds its sessions. */
export class DeviceBrowser {
  readonly site: Site;
  readonly jar: Jar;
  /** What the browser asked for by itself, as `path status`. */
  readonly posts: string[] = [];
  network: Network = NEVER_LOST;
  /** Whether it can bind sessions at all. */
  canBind = true;
  algorithm: Algorithm = "ES256";
  readonly #kept = new Map<string, Kept>();
  #signedAt: number[] = [];

  constructor(site: Site) {
    this.site = site;
    this.jar = new Jar(site.home, { now: site.clock.now });
  }

  /** The ids of the sessions that it keeps a key for. */
  get bound(): string[] {
    return [...this.#kept.keys()];
  }

  /** The key of its only bound session. */
  get signer(): DeviceSigner {
    const [kept] = this.#kept.values();
    if (kept === undefined) throw new Error("The browser is not bound");
    return kept.signer;
  }

  /** The challenge that it would answer next. */
  get challenge(): string | undefined {
    return [...this.#kept.values()][0]?.challenge;
  }

  /** The header `Cookie` of its next page. */
  get cookie(): string | undefined {
    return this.jar.header();
  }

  /** Asks for a page, after the proofs that it takes. */
  async visit(
    visit: Visit = () => {},
    options: VisitOptions = {},
  ): Promise<Response | undefined> {
    const skipped = await this.#prepare(options);
    const url = options.url ?? this.site.home;
    for (let redirects = 0; redirects < 5; redirects++) {
      const response = await this.#page(visit, url, skipped, options);
      if (response === undefined) return undefined;
      await this.#register(response, options);
      if (response.status !== 307) {
        await this.#proveAhead(options);
        return response;
      }
      await this.#prepare(options);
    }
    throw new Error("The browser was sent round and round");
  }

  /** Who the next page is for. */
  async principal(): Promise<string | undefined> {
    let principal: string | undefined;
    const answer = await this.visit((session) => {
      principal = session.principal;
    });
    return answer === undefined ? undefined : principal;
  }

  async signIn(principal = "ada"): Promise<this> {
    await this.visit((session) => session.signIn(principal));
    return this;
  }

  /** Another browser with the same cookies, on a machine without the key. */
  copy(): DeviceBrowser {
    const other = new DeviceBrowser(this.site);
    other.jar.add(this.jar.cookies());
    return other;
  }

  /** The same browser, for a site that goes on in another way. */
  movedTo(site: Site): DeviceBrowser {
    const moved = new DeviceBrowser(site);
    moved.jar.add(this.jar.cookies());
    for (const [id, kept] of this.#kept) moved.#kept.set(id, { ...kept });
    moved.posts.push(...this.posts);
    return moved;
  }

  /** Closes and opens it: keys stay, and so do cookies with a time. */
  restart(): void {
    const kept = this.jar.cookies().filter(({ expires }) => expires !== -1);
    this.jar.clear();
    this.jar.add(kept);
    for (const session of this.#kept.values()) {
      session.challenge = undefined;
      session.signed = undefined;
    }
  }

  /** Takes the bound cookies away, as their expiry does. */
  forgetProofs(): void {
    const names = new Set([...this.#kept.values()].map(({ name }) => name));
    const others = this.jar.cookies().filter(({ name }) => !names.has(name));
    this.jar.clear();
    this.jar.add(others);
  }

  /** Posts to the path what this browser, or another program, would. */
  async post(
    headers: Readonly<Record<string, string>>,
    { hasCookies = true, url = "/device-bound-session" } = {},
  ): Promise<Response | undefined> {
    const cookie = hasCookies ? this.jar.header(url) : undefined;
    const request = new Request(new URL(url, this.site.home), {
      method: "POST",
      headers: { ...headers, ...(cookie === undefined ? {} : { cookie }) },
    });
    const response = await this.#send(request, () => new Response());
    this.posts.push(`${url} ${response?.status ?? "unreachable"}`);
    return response;
  }

  async #page(
    visit: Visit,
    url: string,
    skipped: string | undefined,
    { response }: VisitOptions,
  ): Promise<Response | undefined> {
    const cookie = this.jar.header(url);
    const request = new Request(url, {
      headers: {
        ...(cookie === undefined ? {} : { cookie }),
        ...(skipped === undefined ? {} : { "secure-session-skipped": skipped }),
      },
    });
    return await this.#send(request, async (session) => {
      const answer = await visit(session, request);
      return answer instanceof Response ? answer : response ?? new Response();
    });
  }

  async #send(
    request: Request,
    answer: (session: Session) => Promise<Response> | Response,
  ): Promise<Response | undefined> {
    const fate = this.network(new URL(request.url).pathname);
    if (fate === "is lost") return undefined;
    if (fate === "is answered with 503") {
      return new Response(null, { status: 503 });
    }
    const response = await this.site.manager.run(request, answer);
    if (fate === "is answered in vain") return undefined;
    this.jar.receive(response, request.url);
    return response;
  }

  /** Registers a key where an answer offers it. */
  async #register(
    { headers }: Response,
    { isFromElsewhere = false }: VisitOptions,
  ): Promise<void> {
    const offer = headers.get("secure-session-registration");
    if (offer === null || !this.canBind) return;
    const [, path = ""] = /;path="([^"]*)"/.exec(offer) ?? [];
    const [, challenge = ""] = /;challenge="([^"]*)"/.exec(offer) ?? [];
    const signer = new DeviceSigner(this.algorithm);
    if (!this.#sign()) return;
    const proof = signer.register(challenge);
    for (let attempt = 0; attempt < MAX_REGISTRATIONS; attempt++) {
      const response = await this.post(
        { "secure-session-response": proof },
        { hasCookies: !isFromElsewhere, url: path },
      );
      if (response === undefined) continue;
      if (response.status === 200) await this.#keep(response, signer);
      return;
    }
  }

  async #keep(response: Response, signer: DeviceSigner): Promise<void> {
    const told = await response.json();
    const kept: Kept = {
      id: told.session_identifier,
      signer,
      name: told.credentials[0].name,
      url: told.refresh_url,
      challenge: challengeIn(response),
      signed: undefined,
      failures: 0,
      waitsUntil: 0,
    };
    this.#kept.set(kept.id, kept);
  }

  /** Proves what has to be proved before a page is asked for. */
  async #prepare(options: VisitOptions): Promise<string | undefined> {
    let skipped: string | undefined;
    for (const kept of [...this.#kept.values()]) {
      if (this.#expiryOf(kept) !== undefined) continue;
      skipped = await this.#refresh(kept, options) ?? skipped;
    }
    return skipped;
  }

  async #proveAhead(options: VisitOptions): Promise<void> {
    for (const kept of [...this.#kept.values()]) {
      const expires = this.#expiryOf(kept);
      if (expires === undefined) continue;
      if (expires * 1000 - this.site.now < AHEAD) {
        await this.#refresh(kept, options);
      }
    }
  }

  /** When the bound cookie expires, if there is one. */
  #expiryOf({ name }: Kept): number | undefined {
    return this.jar.cookies().find((cookie) => cookie.name === name)?.expires;
  }

  /** @returns Why it was given up, if it may be tried again. */
  async #refresh(
    kept: Kept,
    { isFromElsewhere = false }: VisitOptions,
  ): Promise<string | undefined> {
    if (this.site.now < kept.waitsUntil) return "server_error";
    for (let count = 0; count < MAX_POSTS; count++) {
      const headers: Record<string, string> = {
        "sec-secure-session-id": `"${kept.id}"`,
      };
      if (kept.challenge !== undefined) {
        const proof = this.#proofOf(kept, kept.challenge);
        if (proof === undefined) return "quota_exceeded";
        headers["secure-session-response"] = proof;
      }
      const response = await this.post(headers, {
        hasCookies: !isFromElsewhere,
        url: kept.url,
      });
      if (response === undefined) return "unreachable";
      if (response.status >= 500) return this.#backOff(kept);
      if (FORGETTING.has(response.status)) break;
      kept.challenge = challengeIn(response) ?? kept.challenge;
      if (response.status === 200) {
        kept.failures = 0;
        return undefined;
      }
    }
    this.#kept.delete(kept.id);
    return undefined;
  }

  #backOff(kept: Kept): string {
    kept.failures++;
    const excess = kept.failures - 3;
    if (excess >= 0) {
      const wait = Math.min(MAX_BACKOFF, 60_000 * 2 ** excess);
      kept.waitsUntil = this.site.now + wait;
    }
    return "server_error";
  }

  #proofOf(kept: Kept, challenge: string): string | undefined {
    if (kept.signed?.challenge === challenge) return kept.signed.proof;
    if (!this.#sign()) return undefined;
    const proof = kept.signer.refresh(challenge);
    kept.signed = { challenge, proof };
    return proof;
  }

  /** Whether one more signature is allowed. */
  #sign(): boolean {
    const { now } = this.site;
    this.#signedAt = this.#signedAt.filter((at) => now - at < QUOTA.time);
    if (this.#signedAt.length >= QUOTA.count) return false;
    this.#signedAt.push(now);
    return true;
  }
}

/** The challenge that an answer brings. */
export function challengeIn({ headers }: Response): string | undefined {
  const header = headers.get("secure-session-challenge");
  return header === null ? undefined : /^"([^"]*)"/.exec(header)?.[1];
}

/** The challenge of the offer to register a key. */
export function offeredIn(
  response: Response | undefined,
): string | undefined {
  const header = response?.headers.get("secure-session-registration");
  return /;challenge="([^"]*)"/.exec(header ?? "")?.[1];
}
