import {
  EMPTY_DATA,
  emptyObject,
  entrySize,
  put,
  type StoredData,
  type StoredValue,
  takeIn,
} from "./value.ts";

/**
 * Stored data, and what one request wrote over it. Reads see both; what the
 * store has yet to hear of can be taken out as one change.
 */
export class ChangeSet {
  readonly #maxSize: number;
  #stored: StoredData;
  /** Keys written and, as `undefined`, removed by this request. */
  #overlay: Map<string, StoredValue | undefined> | undefined;
  /** The keys of the overlay that the store has yet to hear of. */
  #dirty: Set<string> | undefined;
  /** The size of each entry, measured when the first one is written. */
  #sizes: Map<string, number> | undefined;

  /**
   * @param maxSize The most bytes that all entries together may take.
   */
  constructor(stored: StoredData, maxSize: number) {
    this.#stored = stored;
    this.#maxSize = maxSize;
  }

  /** Whether the store has anything to hear of. */
  get isChanged(): boolean {
    return this.#dirty !== undefined && this.#dirty.size > 0;
  }

  read(key: string): StoredValue | undefined {
    const overlay = this.#overlay;
    if (overlay !== undefined) {
      const value = overlay.get(key);
      if (value !== undefined || overlay.has(key)) return value;
    }
    return this.#stored[key];
  }

  keys(): string[] {
    const stored = Object.keys(this.#stored);
    if (this.#overlay === undefined) return stored;
    const keys = new Set(stored);
    for (const [key, value] of this.#overlay) {
      if (value === undefined) keys.delete(key);
      else keys.add(key);
    }
    return [...keys];
  }

  /** Checks, copies and lays a value over what is stored. */
  write(key: string, value: unknown): void {
    const sizes = this.#entrySizes();
    let others = 0;
    for (const [other, size] of sizes) if (other !== key) others += size;
    const intake = takeIn(key, value, this.#maxSize - others);
    sizes.set(key, intake.size);
    this.#lay(key, intake.value);
  }

  remove(key: string): boolean {
    if (this.read(key) === undefined) return false;
    this.#sizes?.delete(key);
    this.#lay(key, undefined);
    return true;
  }

  clear(): void {
    for (const key of this.keys()) this.remove(key);
  }

  /** What was written under a key, if the store has yet to hear of it. */
  pending(
    key: string,
  ): { readonly value: StoredValue | undefined } | undefined {
    const isPending = this.#dirty?.has(key) ?? false;
    return isPending ? { value: this.#overlay?.get(key) } : undefined;
  }

  /** The keys to write, with their values. */
  toSet(): StoredData {
    if (this.#dirty === undefined) return EMPTY_DATA;
    const set = emptyObject();
    for (const key of this.#dirty) {
      const value = this.#overlay?.get(key);
      if (value !== undefined) put(set, key, value);
    }
    return Object.freeze(set);
  }

  /** The keys to remove. */
  toDelete(): readonly string[] {
    const removed: string[] = [];
    for (const key of this.#dirty ?? []) {
      if (this.#overlay?.get(key) === undefined) removed.push(key);
    }
    return removed;
  }

  /** The store has heard of everything. */
  settleAll(): void {
    this.#dirty = undefined;
  }

  /** The store has got a new value for one key, whatever was pending. */
  settle(key: string, value: StoredValue | undefined): void {
    this.#lay(key, value);
    this.#dirty?.delete(key);
    this.#sizes = undefined;
  }

  /** Only what this request wrote is left. */
  forgetStored(): void {
    this.#stored = EMPTY_DATA;
  }

  #lay(key: string, value: StoredValue | undefined): void {
    this.#overlay ??= new Map();
    this.#dirty ??= new Set();
    this.#overlay.set(key, value);
    this.#dirty.add(key);
  }

  #entrySizes(): Map<string, number> {
    if (this.#sizes !== undefined) return this.#sizes;
    this.#sizes = new Map();
    for (const key of this.keys()) {
      this.#sizes.set(key, entrySize(key, this.read(key) as StoredValue));
    }
    return this.#sizes;
  }
}
