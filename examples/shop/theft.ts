/**
 * Plays a theft with the visitor's own cookie: a second client copies it, is the
 * first to get a new one, and so turns the visitor's cookie into the copy that
 * gives both away. Every scene is told by what really happened.
 */
import type { Trace } from "./watch.ts";

/** One thing that happened. */
export interface Scene {
  readonly who: "Mallory" | "The shop";
  readonly text: string;
}

/** How far a story is. */
export type Stage = "waiting" | "ahead" | "over";

interface Story {
  readonly id: string;
  readonly scenes: Scene[];
  readonly thief: Thief;
  stage: Stage;
}

/** Answers a request as the shop does, and tells what it did for it. */
export type Answer = (
  request: Request,
) => Promise<{ readonly response: Response; readonly trace: Trace }>;

export interface TheftsOptions {
  readonly answer: Answer;
  /** Waits so many seconds. */
  readonly wait: (seconds: number) => Promise<void>;
  /** Whether a session has ended because its cookie was copied. */
  readonly isCopied: (id: string) => boolean;
  /** How long an old cookie goes on working, in seconds. */
  readonly grace: number;
}

/** How many stories are remembered. */
const MOST_STORIES = 100;

/** How often the thief asks for a new cookie. */
const MOST_TRIES = 20;

/** The thefts that were played, by the id of the session. */
export class Thefts {
  readonly #options: TheftsOptions;
  readonly #stories = new Map<string, Story>();

  constructor(options: TheftsOptions) {
    this.#options = options;
  }

  has(id: string): boolean {
    return this.#stories.has(id);
  }

  /** Begins one, and comes back as soon as the thief has to wait. */
  async begin(id: string, { url, headers }: Request): Promise<void> {
    const cookie = headers.get("cookie") ?? "";
    const { origin } = new URL(url);
    const thief = new Thief(this.#options.answer, origin, cookie);
    const story: Story = { id, scenes: [], thief, stage: "waiting" };
    this.#stories.set(id, story);
    for (const [oldest] of this.#stories) {
      if (this.#stories.size <= MOST_STORIES) break;
      this.#stories.delete(oldest);
    }
    tell(story, "Mallory", "copies your cookie, say from a stolen backup.");
    const isIn = await thief.open("/");
    if (!isIn) return this.#leave(story);
    tell(story, "Mallory", `opens the shop with it, and ${thief.sees}.`);
    if (await this.#renew(story)) return;
    tell(story, "Mallory", "waits: your cookie is too new to be replaced.");
    this.#keepTrying(story).catch(() => this.#leave(story));
  }

  /** What happened so far, and how far it is. */
  look(id: string): Pick<Story, "scenes" | "stage"> | undefined {
    return this.#stories.get(id);
  }

  /** The session has ended: the thief tries once more. */
  async end(id: string): Promise<void> {
    const story = this.#stories.get(id);
    if (story === undefined || story.stage === "over") return;
    this.#leave(story);
    const isIn = await story.thief.open("/");
    if (!isIn) tell(story, "Mallory", "tries again, and is out too.");
  }

  async #keepTrying(story: Story): Promise<void> {
    for (let tries = 0; tries < MOST_TRIES; tries++) {
      await this.#options.wait(1);
      if (story.stage !== "waiting" || await this.#renew(story)) return;
    }
  }

  /** Asks for a new cookie, and uses it. */
  async #renew(story: Story): Promise<boolean> {
    const { thief } = story;
    const isIn = thief.isAhead || await thief.open("/renew");
    if (!isIn) {
      this.#leave(story);
      return true;
    }
    if (!thief.isAhead) return false;
    tell(story, "Mallory", "is the first to get a new cookie.");
    await thief.open("/");
    const { grace } = this.#options;
    tell(
      story,
      "Mallory",
      `uses it. From now on yours is old: it works ${grace} seconds more.`,
    );
    story.stage = "ahead";
    return true;
  }

  #leave(story: Story): void {
    story.stage = "over";
    tell(
      story,
      "The shop",
      this.#options.isCopied(story.id)
        ? "meets a cookie that was replaced. Somebody has a copy: it ends the session."
        : "does not find the session any more: it has ended.",
    );
  }
}

function tell({ scenes }: Story, who: Scene["who"], text: string): void {
  scenes.push({ who, text });
}

/** A client with a copied cookie, which does what a browser would. */
class Thief {
  readonly #answer: Answer;
  readonly #origin: string;
  #cookie: string;
  #token = "";
  /** What the last page showed. */
  sees = "sees nothing";
  /** Whether it has a cookie that the owner has not. */
  isAhead = false;

  constructor(answer: Answer, origin: string, cookie: string) {
    this.#answer = answer;
    this.#origin = origin;
    this.#cookie = cookie;
  }

  /**
   * Opens a page, or sends the form of that path.
   *
   * @returns Whether the cookie opened the session.
   */
  async open(path: "/" | "/renew"): Promise<boolean> {
    const isPage = path === "/";
    const { response, trace } = await this.#answer(
      new Request(this.#origin + path, {
        method: isPage ? "GET" : "POST",
        headers: { cookie: this.#cookie },
        body: isPage
          ? null
          : new URLSearchParams({ "form-token": this.#token }),
      }),
    );
    const text = await response.text();
    this.#token = /name="form-token"\s+value="([\w-]+)"/.exec(text)?.[1] ??
      this.#token;
    const isOut = trace.acts.some(({ name }) => OUT.has(name));
    if (isOut) return false;
    this.sees = trace.principal === undefined
      ? "sees your cart"
      : `is in as ${trace.principal}`;
    this.#keep(response);
    return true;
  }

  #keep({ headers }: Response): void {
    const [setCookie] = headers.getSetCookie();
    const cookie = setCookie?.split(";")[0];
    if (cookie === undefined) return;
    this.#cookie = cookie;
    this.isAhead = true;
  }
}

const OUT: ReadonlySet<string> = new Set(["refused", "reused"]);
