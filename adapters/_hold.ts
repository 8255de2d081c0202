/** Holds an answer of `node:http` back while its session is committed. */
import type { Awaitable } from "../core/provider.ts";
import type { NodeResponse } from "./_node.ts";

type Method = (...args: unknown[]) => unknown;
type Methods = Record<string, Method>;

/** What sends something, in the order in which it is looked for. */
const SENDING = ["writeHead", "write", "end", "flushHeaders"];

/** What is of no use once the head is sent. */
const LOCKED = ["setHeader", "appendHeader", "removeHeader", "setHeaders"];

/** What a stream does that is piped into an answer. */
interface Source {
  unpipe?(into: unknown): unknown;
  destroy?(): unknown;
}

/** The part of an answer that tells of what happens to it. */
interface Emitter {
  on(event: string, listener: (source: Source) => void): unknown;
  once(event: string, listener: () => void): unknown;
  emit(event: string): unknown;
}

/**
 * An answer that is held back from the first call that would send something
 * until it is released. Meanwhile it looks as if it had been sent, so that
 * nobody answers again or changes a header.
 */
export class Hold {
  readonly #response: NodeResponse & Partial<Emitter>;
  readonly #commit: () => Awaitable<void>;
  readonly #failed: (error: unknown) => void;
  readonly #calls: (() => unknown)[] = [];
  readonly #sources = new Set<Source>();
  readonly #before: { readonly status: number; readonly names: string[] };
  #unlock: (() => void) | undefined;
  #isEnded = false;
  #isFull = false;
  #isOver = false;

  /**
   * @param commit Called once, when status and headers are as they will be sent.
   * Nothing is held if it answers without a promise.
   * @param failed Called if that fails, for another answer.
   */
  constructor(
    response: NodeResponse,
    commit: () => Awaitable<void>,
    failed: (error: unknown) => void,
  ) {
    this.#response = response;
    this.#commit = commit;
    this.#failed = failed;
    const names = response.getHeaderNames();
    this.#before = { status: response.statusCode, names };
    for (const name of SENDING) this.#guard(name);
    this.#response.on?.("pipe", (source) => this.#sources.add(source));
  }

  /** Sends what was held, and everything from now on. */
  #release(): void {
    this.#open();
    const answers = this.#calls.splice(0).map((call) => call());
    // Who was told to wait has to be told to go on.
    if (this.#isFull && !this.#isEnded && answers.at(-1) !== false) {
      this.#response.emit?.("drain");
    }
  }

  /** Forgets what was held, for another answer in its place. */
  #drop(): void {
    this.#open();
    this.#calls.length = 0;
    const { status, names } = this.#before;
    this.#response.statusCode = status;
    for (const name of this.#response.getHeaderNames()) {
      if (!names.includes(name)) this.#response.removeHeader(name);
    }
    for (const source of this.#sources) source.unpipe?.(this.#response);
    this.#response.once?.("close", () => {
      for (const source of this.#sources) source.destroy?.();
    });
    // Who goes on writing after the other answer must not end the process.
    this.#response.on?.("error", () => {});
  }

  #guard(name: string): void {
    const methods = this.#response as unknown as Methods;
    const own = methods[name];
    if (own === undefined) return;
    methods[name] = (...given) => {
      if (this.#isOver) return own.apply(this.#response, given);
      const args = name === "writeHead" ? this.#takeHeaders(given) : given;
      const call = () => own.apply(this.#response, args);
      if (this.#isStored()) return call();
      // Runtimes differ in what becomes of what comes after the end.
      if (!this.#isEnded) this.#calls.push(call);
      if (name === "end") this.#isEnded = true;
      if (name !== "write") return this.#response;
      this.#isFull = true;
      return false;
    };
  }

  /** Headers given with the status come last, and so over those of the session. */
  #takeHeaders([status, ...rest]: readonly unknown[]): unknown[] {
    if (this.#unlock !== undefined) throw alreadySent();
    const message = typeof rest[0] === "string" ? rest.shift() : undefined;
    for (const [name, values] of byName(rest.at(-1))) {
      this.#response.setHeader(name, values.length === 1 ? values[0]! : values);
    }
    this.#response.statusCode = Number(status);
    return message === undefined ? [status] : [status, message];
  }

  /** Stores the session, at the first call; what is not stored at once is held. */
  #isStored(): boolean {
    if (this.#unlock !== undefined) return false;
    const stored = this.#store();
    if (stored === undefined) {
      this.#isOver = true;
      return true;
    }
    this.#unlock = this.#lock();
    stored.then(() => this.#release()).catch((error) => {
      this.#drop();
      this.#failed(error);
    });
    return false;
  }

  #store(): Promise<void> | undefined {
    try {
      return this.#commit() as Promise<void> | undefined;
    } catch (error) {
      return Promise.reject(error);
    }
  }

  #open(): void {
    this.#isOver = true;
    this.#unlock?.();
  }

  /** Makes the answer look as if it had been sent, until it is undone. */
  #lock(): () => void {
    const isEnded = { get: () => this.#isEnded };
    const shown: [string, PropertyDescriptor][] = [
      ["headersSent", { value: true }],
      ["writableEnded", isEnded],
      ["finished", isEnded],
      ...LOCKED.map((name): [string, PropertyDescriptor] => [
        name,
        {
          value() {
            throw alreadySent();
          },
        },
      ]),
    ];
    const undo = shown.map(([name, shape]) =>
      shadow(this.#response, name, shape)
    );
    return () => undo.forEach((restore) => restore());
  }
}

/** Gives an object a property of its own, until it is undone. */
function shadow(
  object: object,
  name: string,
  shape: PropertyDescriptor,
): () => void {
  const own = Object.getOwnPropertyDescriptor(object, name);
  Object.defineProperty(object, name, { ...shape, configurable: true });
  return () => {
    if (own === undefined) Reflect.deleteProperty(object, name);
    else Object.defineProperty(object, name, own);
  };
}

/** The headers given to `writeHead`: an object, pairs, or names and values. */
function byName(headers: unknown): Map<string, string[]> {
  const found = new Map<string, string[]>();
  for (const [name, value] of pairsOf(headers)) {
    const values = [value].flat().map(String);
    found.set(String(name), [...found.get(String(name)) ?? [], ...values]);
  }
  return found;
}

function pairsOf(headers: unknown): readonly (readonly unknown[])[] {
  if (!Array.isArray(headers)) return Object.entries(headers ?? {});
  if (headers.every(Array.isArray)) return headers;
  return headers.flatMap((name, at) =>
    at % 2 === 0 ? [[name, headers[at + 1]]] : []
  );
}

/** What `node:http` throws. */
function alreadySent(): Error {
  const error = new Error(
    "Cannot set headers: they are sent as soon as the session is stored",
  );
  return Object.assign(error, { code: "ERR_HTTP_HEADERS_SENT" });
}
