/**
 * The panel beside the shop, which shows what the library does: its frame, and
 * the server-sent events that fill it and end with the session.
 */
import type { SessionRecord } from "@cloakroom/session";
import { farewellOf } from "./farewell.ts";
import { forecast, type Outlook } from "./forecast.ts";
import { type Html, html } from "./html.ts";
import { form } from "./forms.ts";
import type { Shop, Visit } from "./visit.ts";
import { type Act, BEAT, type Beat, type Trace } from "./watch.ts";

/** What the panel shows of the session. Times are in milliseconds from now. */
export interface Standing {
  /** The first characters of the session's id, which opens nothing. */
  readonly tag: string;
  readonly who: string;
  readonly secretAge: number;
  readonly secretLife: number;
  /** How long the cookie before goes on working, if it does. */
  readonly grace: number | undefined;
  readonly endsIn: number;
  readonly next: readonly Outlook[];
}

/** One line of the panel's list. */
export interface Line {
  readonly ago: number;
  readonly request: string;
  /** Who sent it. */
  readonly from: string;
  readonly acts: readonly Pick<Act, "name" | "text" | "tone">[];
}

/** How many requests are shown to a panel that opens. */
const FIRST_LINES = 12;

/** The characters of an id that the panel shows. */
const TAG_LENGTH = 6;

/** The panel as it is without a script. */
export function panelHtml({ shop, url }: Visit): Html {
  const { renewInterval } = shop.pace;
  const back = html`<input type="hidden" name="back" value="${url.pathname}">`;
  return html`
    <aside class="panel" id="panel" aria-labelledby="panel-title">
      <h2 id="panel-title">Behind the counter</h2>
      <p>What the library does with your session, as it happens.</p>
      <noscript><p class="notice info">This panel needs JavaScript.
        The shop does not.</p></noscript>
      <p class="notice error" role="alert" id="panel-ended" hidden></p>
      <div id="panel-live" hidden>
        <div class="tag">
          <p class="number" data-fill="tag"></p>
          <p data-fill="who"></p>
          <p>The secret is <b data-fill="age"></b> old.
            <span data-fill="grace"></span></p>
          <svg class="fuse" viewBox="0 0 100 4" preserveAspectRatio="none"
            aria-hidden="true">
            <rect width="100" height="4" />
            <rect class="burnt" id="panel-fuse" width="0" height="4" />
          </svg>
          <p>The session ends in <b data-fill="ends"></b>, unless it is used.</p>
        </div>
        <p class="next">The next request will <b data-fill="next"></b>.</p>
        <h3 id="panel-requests">Requests</h3>
        <div class="scroll" role="region" tabindex="0"
          aria-labelledby="panel-requests">
          <ol id="panel-log"></ol>
        </div>
        <figure>
          <svg id="panel-chart" viewBox="0 0 300 60" role="img"
            aria-label="Requests and sessions of the last minute"></svg>
          <figcaption><span class="key requests">Requests</span>
            <span class="key sessions">Sessions</span>
            <span>last minute</span></figcaption>
        </figure>
        <p class="hint">Here a secret lasts ${renewInterval} seconds, so that you can
          watch. By default it is 15 minutes.</p>
      </div>
      <h3>Try it</h3>
      <div class="tries">
        ${form("/renew", html`${back}<button>Replace the secret now</button>`)}
        <a href="/theft">Play a theft</a>
        <a href="/invite">Open a second browser</a>
      </div>
    </aside>
  `;
}

/** The events of one session, to the page that is open. */
export function openStream(visit: Visit): Response {
  const { session } = visit;
  if (session.isNew) {
    const farewell = farewellOf(visit);
    // 204 tells a browser not to connect again.
    return farewell === undefined
      ? new Response(null, { status: 204 })
      : new Response(eventOf("ended", farewell.text), { headers: HEADERS });
  }
  const stream = new Stream(visit);
  const body = new ReadableStream<Uint8Array>({
    start: (controller) => stream.start(controller),
    cancel: () => stream.stop(),
  });
  return new Response(body, { headers: HEADERS });
}

const HEADERS = {
  "content-type": "text/event-stream",
  "cache-control": "no-store",
};

/** An open stream. What is sent, is sent in turns, each after a look. */
class Stream {
  readonly #shop: Shop;
  readonly #session: Visit["session"];
  readonly #id: string;
  readonly #principal: string | undefined;
  /** From then on the browser has to show its cookie again. */
  readonly #until: number;
  #controller: ReadableStreamDefaultController<Uint8Array> | undefined;
  #turn: Promise<void> = Promise.resolve();
  #stopListening = () => {};
  #timer: ReturnType<typeof setInterval> | undefined;

  constructor({ shop, session }: Visit) {
    this.#shop = shop;
    this.#session = session;
    this.#id = session.id;
    this.#principal = session.principal;
    this.#until = shop.now() + shop.pace.renewInterval * 1000;
  }

  start(controller: ReadableStreamDefaultController<Uint8Array>): void {
    const { watch } = this.#shop;
    this.#controller = controller;
    this.#stopListening = watch.listen((trace) => {
      if (this.#concerns(trace)) this.#tell(() => this.#lineOf(trace));
    });
    this.#timer = setInterval(() => this.#tell(() => undefined), BEAT);
    const lines = watch.traces
      .filter((trace) => this.#concerns(trace) && isWorthShowing(trace))
      .slice(-FIRST_LINES);
    // Soon after a cut, for the browser has to show a new cookie only.
    this.#send("retry: 500\n\n");
    for (const trace of lines) this.#tell(() => this.#lineOf(trace));
    this.#tell(() => undefined);
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#stopListening();
    this.#controller = undefined;
  }

  /** Sends a line if there is one, and how things are, if it may go on. */
  #tell(lineOf: () => Line | undefined): void {
    this.#turn = this.#turn.then(async () => {
      const { provider, now, watch } = this.#shop;
      if (this.#controller === undefined) return;
      const isAlive = await this.#session.isAlive();
      const record = await provider.read(this.#id, now());
      if (!isAlive || record === undefined) return this.#end(record);
      if (now() >= this.#until) return this.#close();
      const line = lineOf();
      if (line !== undefined) this.#send(eventOf("line", line));
      this.#send(eventOf("standing", standingOf(this.#id, record, this.#shop)));
      this.#send(eventOf("chart", watch.chart() satisfies Beat[]));
    }).catch(() => this.#close()); // A store that cannot tell ends it as well.
  }

  /** Says why, unless the session goes on with a new sign-in. */
  #end(record: SessionRecord | undefined): void {
    if (record === undefined) {
      this.#send(eventOf("ended", this.#shop.endings.textOf(this.#id)));
    }
    this.#close();
  }

  #close(): void {
    const controller = this.#controller;
    this.stop();
    controller?.close();
  }

  #send(text: string): void {
    this.#controller?.enqueue(ENCODER.encode(text));
  }

  /** Whether it is of this session, or of another one of the same user. */
  #concerns({ acts, principal }: Trace): boolean {
    return acts.some(({ id }) => id === this.#id) ||
      principal !== undefined && principal === this.#principal;
  }

  #lineOf(trace: Trace): Line | undefined {
    if (!isWorthShowing(trace)) return undefined;
    const { client, method, path, at, acts } = trace;
    const isOwn = acts.some(({ id }) => id === this.#id);
    return {
      ago: this.#shop.now() - at,
      request: `${method} ${path}`,
      from: client === "thief" ? "Mallory" : isOwn ? "you" : "another device",
      acts: acts.map(({ name, text, tone }) => ({ name, text, tone })),
    };
  }
}

const ENCODER = new TextEncoder();

/** The panel's own stream only shows where it did more than look. */
function isWorthShowing({ path, acts }: Trace): boolean {
  return path !== "/events" || acts.some(({ name }) => name !== "found");
}

/** In JSON, for an event's data is one line. */
function eventOf(name: string, data: unknown): string {
  return `event: ${name}\ndata: ${JSON.stringify(data)}\n\n`;
}

function standingOf(id: string, record: SessionRecord, shop: Shop): Standing {
  const { pace } = shop;
  const now = shop.now();
  const until = record.previous?.until;
  const grace = typeof until === "number" && until > now
    ? until - now
    : undefined;
  const { principal, authenticatedAt, createdAt, accessedAt } = record;
  return {
    tag: id.slice(0, TAG_LENGTH),
    who: principal === undefined ? "A visitor" : `Signed in as ${principal}`,
    secretAge: now - record.renewedAt,
    secretLife: pace.renewInterval * 1000,
    grace,
    endsIn: Math.min(
      accessedAt + record.idleTimeout * 1000,
      (authenticatedAt ?? createdAt) + record.absoluteTimeout * 1000,
    ) - now,
    next: forecast(record, now, pace),
  };
}
