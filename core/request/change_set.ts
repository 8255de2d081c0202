/** What one request wrote over the stored data of its session. */
import { takeIn } from "../value/intake.ts";
import { entrySize } from "../value/size.ts";
import {
  EMPTY_DATA,
  emptyObject,
  put,
  type StoredData,
  type StoredValue,
} from "../value/types.ts";

/**
 * Stored data, and what one request wrote over it. Reads see both; what the
 * store has yet to hear of can be taken out as one change.
 */
export class ChangeSet {
  readonly #maxSize: number;
  #stored: StoredData;
  /** What this request did to each key. */
  #overlay: Map<string, KeyChange> | undefined;
  /** Bytes of all entries, measured when the first one is written. */
  #size: number | undefined;

  /**
   * @param maxSize The most bytes that all entries together may take.
   */
  constructor(stored: StoredData, maxSize: number) {
    this.#stored = stored;
    this.#maxSize = maxSize;
  }

  /** Whether the store has anything to hear of. */
  get isChanged(): boolean {
    for (const { isPending } of this.#changes()) if (isPending) return true;
    return false;
  }

  read(key: string): StoredValue | undefined {
    const change = this.#overlay?.get(key);
    return change === undefined ? this.#stored[key] : change.value;
  }

  keys(): string[] {
    const stored = Object.keys(this.#stored);
    if (this.#overlay === undefined) return stored;
    const keys = new Set(stored);
    for (const { key, value } of this.#changes()) {
      if (value === undefined) keys.delete(key);
      else keys.add(key);
    }
    return [...keys];
  }

  /** Checks, copies and lays a value over what is stored. */
  write(key: string, value: unknown): void {
    const others = this.#measured() - this.#sizeOf(key);
    const intake = takeIn(key, value, this.#maxSize - others);
    this.#size = others + intake.size;
    this.#lay(key, intake.value, true);
  }

  remove(key: string): boolean {
    if (this.read(key) === undefined) return false;
    if (this.#size !== undefined) this.#size -= this.#sizeOf(key);
    this.#lay(key, undefined, true);
    return true;
  }

  clear(): void {
    for (const key of this.keys()) this.remove(key);
  }

  /** What was written under a key, if the store has yet to hear of it. */
  pending(key: string): Pending | undefined {
    const change = this.#overlay?.get(key);
    return change?.isPending ? change : undefined;
  }

  /** The keys to write, with their values. */
  toSet(): StoredData {
    let set: Record<string, StoredValue> | undefined;
    for (const { key, value, isPending } of this.#changes()) {
      if (!isPending || value === undefined) continue;
      set ??= emptyObject();
      put(set, key, value);
    }
    return set === undefined ? EMPTY_DATA : Object.freeze(set);
  }

  /** The keys to remove. */
  toDelete(): readonly string[] {
    const removed: string[] = [];
    for (const { key, value, isPending } of this.#changes()) {
      if (isPending && value === undefined) removed.push(key);
    }
    return removed;
  }

  /** The store has heard of everything. */
  settleAll(): void {
    for (const change of this.#changes()) change.isPending = false;
  }

  /**
   * The store has got a new value for one key, worked out from what was pending
   * then. What has been written since is kept: the store has yet to hear of it.
   */
  settle(
    key: string,
    value: StoredValue | undefined,
    seen: Pending | undefined,
  ): void {
    if (this.pending(key) !== seen) return;
    this.#lay(key, value, false);
    this.#size = undefined;
  }

  /** Only what this request wrote is left. */
  forgetStored(): void {
    this.#stored = EMPTY_DATA;
    this.#size = undefined;
  }

  #changes(): Iterable<KeyChange> {
    return this.#overlay?.values() ?? [];
  }

  #lay(key: string, value: StoredValue | undefined, isPending: boolean): void {
    this.#overlay ??= new Map();
    this.#overlay.set(key, { key, value, isPending });
  }

  #measured(): number {
    if (this.#size !== undefined) return this.#size;
    let size = 0;
    for (const key of this.keys()) size += this.#sizeOf(key);
    return size;
  }

  #sizeOf(key: string): number {
    const value = this.read(key);
    return value === undefined ? 0 : entrySize(key, value);
  }
}

/** A change that the store has yet to hear of; each write makes another one. */
export interface Pending {
  readonly value: StoredValue | undefined;
}

/** What a request did to one key. */
interface KeyChange {
  readonly key: string;
  /** The new value; `undefined` when the key was removed. */
  readonly value: StoredValue | undefined;
  /** Whether the store has yet to hear of it. */
  isPending: boolean;
}
