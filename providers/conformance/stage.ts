import type {
  Awaitable,
  NewSessionRecord,
  Provider,
  SessionChange,
  SessionRecord,
  UpdateGuard,
  UpdateResult,
} from "../../core/provider.ts";
import { hashSecret, mintId, mintSecret } from "../../core/secret/token.ts";
import { takeIn } from "../../core/value/intake.ts";
import { emptyObject, put } from "../../core/value/types.ts";
import type { StoredData } from "../../core/value/types.ts";

/** One check: rejects if the provider on the stage breaks its promise. */
export type Check = (stage: Stage) => Promise<void>;

/** Checks by the promise that they hold the provider to. */
export type Checks = Readonly<Record<string, Check>>;

/** How long the sessions of checks live without access, in seconds. */
export const IDLE_TIMEOUT = 600;

/** The hash of the secret that {@linkcode Stage.create} files sessions under. */
export const SECRET_HASH: string = hashSecret("the secret");

/** The hash of a secret that no session has. */
export const OTHER_HASH: string = hashSecret("another secret");

type Make = (setup: { readonly prefix: string }) => Awaitable<Provider>;

/** A provider of its own for each check, and what every check needs with it. */
export class Stage {
  readonly provider: Provider;
  /** The instant at which a check begins. */
  readonly now: number;
  readonly #make: Make;
  readonly #opened: Provider[];

  private constructor(make: Make, provider: Provider) {
    this.#make = make;
    this.provider = provider;
    this.#opened = [provider];
    this.now = Date.now();
  }

  /** Runs a check on a provider of its own, and closes it whatever happens. */
  static async run(make: Make, check: Check): Promise<void> {
    const stage = new Stage(make, await make({ prefix: newId() }));
    try {
      await check(stage);
    } finally {
      for (const provider of stage.#opened) await provider.close();
    }
  }

  /** Another provider, which must see nothing of the first. */
  async openApart(): Promise<Provider> {
    const provider = await this.#make({ prefix: newId() });
    this.#opened.push(provider);
    return provider;
  }

  /** Stores a session and returns its id. */
  async create(
    record: Partial<NewSessionRecord> = {},
    provider = this.provider,
  ): Promise<string> {
    const id = newId();
    const isCreated = await provider.create(id, this.record(record), this.now);
    if (!isCreated) throw new Error("create() refused a new random id");
    return id;
  }

  /** A record that lives from now on, for as long as its timeouts say. */
  record(record: Partial<NewSessionRecord> = {}): NewSessionRecord {
    const {
      idleTimeout = IDLE_TIMEOUT,
      absoluteTimeout = IDLE_TIMEOUT * 10,
      createdAt = this.now,
      accessedAt = createdAt,
    } = record;
    return {
      data: dataOf({ name: "Ada" }),
      secretHash: SECRET_HASH,
      renewedAt: createdAt,
      persistent: false,
      expiresAt: Math.min(
        accessedAt + idleTimeout * 1000,
        createdAt + absoluteTimeout * 1000,
      ),
      ...record,
      createdAt,
      accessedAt,
      idleTimeout,
      absoluteTimeout,
    };
  }

  async read(id: string, now = this.now): Promise<SessionRecord | undefined> {
    return await this.provider.read(id, now);
  }

  /** Reads a session that must be there. */
  async live(id: string, now = this.now): Promise<SessionRecord> {
    const record = await this.read(id, now);
    if (record === undefined) throw new Error("read() lost a live session");
    return record;
  }

  /** Updates a session as a request with the right secret would. */
  async update(
    id: string,
    change: Partial<SessionChange>,
    guard: Partial<UpdateGuard> = {},
    now = this.now,
  ): Promise<UpdateResult> {
    return await this.provider.update(
      id,
      { expiresAt: now + IDLE_TIMEOUT * 1000, ...change },
      { secretHash: SECRET_HASH, ...guard },
      now,
    );
  }

  /** Collects until there is nothing left to collect. */
  async collectAll(now: number, limit: number): Promise<number> {
    let total = 0;
    for (let pass = 0; pass < 1000; pass++) {
      const count = await this.provider.gc(now, limit);
      if (count > limit) throw new Error("gc() removed more than its limit");
      total += count;
      if (count < limit) return total;
    }
    throw new Error("gc() does not come to an end");
  }
}

/** An id that no session has. */
export function newId(): string {
  return mintId();
}

/** The hash of a secret that nothing has used. */
export function newSecretHash(): string {
  return hashSecret(mintSecret());
}

/** Data as a session hands it to its provider: checked, copied, frozen. */
export function dataOf(values: Readonly<Record<string, unknown>>): StoredData {
  const data = emptyObject();
  for (const key of Object.keys(values)) {
    put(data, key, takeIn(key, values[key], Infinity).value);
  }
  return Object.freeze(data);
}

/** Starts calls in one go, as requests at the same time would. */
export function together<T>(
  count: number,
  call: (index: number) => T,
): Promise<Awaited<T>[]> {
  // A provider that answers at once throws at once: here, that is a rejection.
  const start = async (index: number) => await call(index);
  return Promise.all(Array.from({ length: count }, (_, index) => start(index)));
}
