/** What every check of the contract works with. */
import { deepStrictEqual } from "node:assert/strict";
import type {
  Awaitable,
  DestroyResult,
  Guard,
  NewSessionRecord,
  PreviousSecret,
  Provider,
  SessionChange,
  SessionRecord,
  TokenState,
  UpdateResult,
} from "../../core/provider.ts";
import { expiryOf } from "../../core/store/record.ts";
import {
  hashFamily,
  hashSecret,
  mintId,
  mintSecret,
} from "../../core/secret/token.ts";
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

/** Its family. */
export const FAMILY: string = hashFamily("the secret");

/** The hash of a secret that no session has. */
export const OTHER_HASH: string = hashSecret("another secret");

/** Its family. */
export const OTHER_FAMILY: string = hashFamily("another secret");

/** The guard of a request that came with the session's own cookie. */
export const OWN: Guard = { family: FAMILY };

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

  /** When a session ends that is created now and never used. */
  get deadline(): number {
    return expiryOf(this.record());
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
    const { createdAt = this.now, accessedAt = createdAt } = record;
    return {
      data: dataOf({ name: "Ada" }),
      secretHash: SECRET_HASH,
      family: FAMILY,
      renewedAt: createdAt,
      idleTimeout: IDLE_TIMEOUT,
      absoluteTimeout: IDLE_TIMEOUT * 10,
      persistent: false,
      ...record,
      createdAt,
      accessedAt,
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

  /** Updates a session as a request with its cookie would. */
  async update(
    id: string,
    change: SessionChange,
    guard: Guard = {},
    now = this.now,
  ): Promise<UpdateResult> {
    return await this.provider.update(id, change, { ...OWN, ...guard }, now);
  }

  /** Ends a session as a request with its cookie would. */
  async destroy(
    id: string,
    guard: Guard = OWN,
    now = this.now,
  ): Promise<DestroyResult> {
    return await this.provider.destroy(id, guard, now);
  }

  async touch(id: string, now = this.now): Promise<boolean> {
    return await this.provider.touch(id, now);
  }

  /** The ids that a list names, in order; fails if it cannot read some. */
  async listed(principal: string, now = this.now): Promise<string[]> {
    const { sessions, unreadable } = await this.provider.list(principal, now);
    deepStrictEqual([...unreadable], [], "unreadable");
    return sessions.map(({ id }) => id).sort();
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

/** The token of a record, for a guard. */
export function tokenOf(record: SessionRecord): TokenState {
  return { secretHash: record.secretHash, until: record.previous?.until };
}

/** What a renewal may be told. */
export interface Renewal {
  /** The record that it was decided from, if not the present one. */
  readonly record?: SessionRecord;
  /** The hash of the new secret. */
  readonly next?: string;
  /** Whether it is a use of the session, which most are. */
  readonly isUse?: boolean;
}

/** Renews a session's secret within its family, as a request does. */
export async function renew(
  stage: Stage,
  id: string,
  now: number,
  { record, next = newSecretHash(), isUse = true }: Renewal = {},
): Promise<UpdateResult> {
  const read = record ?? await stage.live(id, now);
  const { secretHash, family } = read;
  const change: SessionChange = {
    secretHash: next,
    family,
    renewedAt: now,
    previous: { secretHash, family, until: "confirmed" },
    isUse,
  };
  const guard = { family, token: tokenOf(read) };
  return await stage.provider.update(id, change, guard, now);
}

/** A new secret of a new family, as a sign-in stores it over another. */
export function signInChange(
  principal: string,
  replaced: Pick<SessionRecord, "secretHash" | "family">,
  now: number,
): SessionChange & { readonly previous: PreviousSecret } {
  const secret = mintSecret();
  return {
    secretHash: hashSecret(secret),
    family: hashFamily(secret),
    renewedAt: now,
    previous: {
      secretHash: replaced.secretHash,
      family: replaced.family,
      until: "never",
    },
    principal,
    label: null,
    authenticatedAt: now,
  };
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
