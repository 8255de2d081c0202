/** Takes values in: checks, copies, freezes and measures them in one walk. */
import { SessionError } from "../errors.ts";
import {
  brackets,
  bytesSize,
  dateSize,
  entryFrame,
  keySize,
  mapFrame,
  rememberSize,
  scalarSize,
  setFrame,
  stringSize,
} from "./size.ts";
import {
  isPlainObject,
  isShareable,
  put,
  type StoredKey,
  type StoredValue,
} from "./types.ts";

/** How many containers may be nested in one another. */
export const MAX_DEPTH = 100;

/** Freezes a container if nothing in it can change. */
function freezeIfShareable<T extends object>(
  container: T,
  children: Iterable<StoredValue>,
): T {
  for (const child of children) if (!isShareable(child)) return container;
  return Object.freeze(container);
}

/** A checked copy of a value, and the bytes its text form takes. */
export interface Intake {
  /** The copy; deeply frozen as far as its types can be frozen. */
  readonly value: StoredValue;
  /** Bytes of the codec's text in UTF-8, with key, colon and comma. */
  readonly size: number;
}

/**
 * Checks, copies, freezes and measures a value in one walk. `undefined` inside
 * objects is left out and `-0` becomes `0`, as in JSON.
 *
 * @param key The session key, for the path in error messages.
 * @param value What to store.
 * @param limit The most bytes that the entry may take.
 * @throws {TypeError} If some part of it cannot be stored; the path is named.
 * @throws {SessionError} With code `"too-large"`, if it exceeds `limit`.
 */
export function takeIn(key: string, value: unknown, limit: number): Intake {
  const walk = new IntakeWalk(key, limit);
  const frame = entryFrame(key);
  walk.grow(frame);
  const copy = walk.copy(value);
  rememberSize(copy, walk.size - frame);
  return { value: copy, size: walk.size };
}

class IntakeWalk {
  size = 0;
  readonly #key: string;
  readonly #limit: number;
  readonly #path: (string | number)[] = [];
  readonly #ancestors: object[] = [];

  constructor(key: string, limit: number) {
    this.#key = key;
    this.#limit = limit;
  }

  grow(bytes: number): void {
    this.size += bytes;
    if (this.size <= this.#limit) return;
    throw new SessionError(
      "too-large",
      `Cannot set ${quote(this.#key)}: the session would exceed its size limit`,
    );
  }

  copy(value: unknown): StoredValue {
    switch (typeof value) {
      case "string":
        this.grow(value.length);
        this.grow(stringSize(value) - value.length);
        return value;
      case "number":
        if (!Number.isFinite(value)) throw this.#refusal(`is ${value}`);
        this.grow(scalarSize(value));
        return value + 0;
      case "boolean":
      case "bigint":
        this.grow(scalarSize(value));
        return value;
      case "object":
        return value === null ? this.#copyNull() : this.#copyObject(value);
      case "undefined":
        throw this.#refusal(
          this.#path.length === 0
            ? "is undefined: remove a key with delete()"
            : "is undefined",
        );
      default:
        throw this.#refusal(`is a ${typeof value}`);
    }
  }

  #copyNull(): null {
    this.grow(scalarSize(null));
    return null;
  }

  #copyObject(value: object): StoredValue {
    if (value instanceof Date) return this.#copyDate(value);
    if (value instanceof Uint8Array) return this.#copyBytes(value);
    if (this.#ancestors.includes(value)) {
      throw this.#refusal("is a reference to an object that contains it");
    }
    if (this.#ancestors.length === MAX_DEPTH) {
      throw this.#refusal(`is nested more than ${MAX_DEPTH} levels deep`);
    }
    this.#ancestors.push(value);
    const copy = this.#copyContainer(value);
    this.#ancestors.pop();
    return copy;
  }

  #copyContainer(value: object): StoredValue {
    if (Array.isArray(value)) return this.#copyArray(value);
    if (value instanceof Map) return this.#copyMap(value);
    if (value instanceof Set) return this.#copySet(value);
    if (isPlainObject(value)) return this.#copyPlainObject(value);
    throw this.#refusal(
      value instanceof Promise
        ? "is a promise: await it first"
        : `is an instance of ${className(value)}`,
    );
  }

  #copyDate(date: Date): Date {
    const time = date.getTime();
    if (Number.isNaN(time)) throw this.#refusal("is an invalid Date");
    this.grow(dateSize(date));
    return new Date(time);
  }

  #copyBytes(bytes: Uint8Array): Uint8Array {
    this.grow(bytesSize(bytes));
    return new Uint8Array(bytes);
  }

  #copyArray(array: readonly unknown[]): StoredValue {
    const copy: StoredValue[] = [];
    this.grow(brackets(array.length));
    for (let index = 0; index < array.length; index++) {
      copy.push(this.#child(index, array[index]));
    }
    return freezeIfShareable(copy, copy);
  }

  #copyPlainObject(object: object): StoredValue {
    const copy: Record<string, StoredValue> = {};
    let count = 0;
    for (const key of Object.keys(object)) {
      const item = (object as Record<string, unknown>)[key];
      if (item === undefined) continue;
      count++;
      this.grow(keySize(key) + 1);
      put(copy, key, this.#child(key, item));
    }
    this.grow(brackets(count));
    return freezeIfShareable(copy, Object.values(copy));
  }

  #copyMap(map: ReadonlyMap<unknown, unknown>): StoredValue {
    const copy = new Map<StoredKey, StoredValue>();
    this.grow(mapFrame(map.size));
    for (const [key, item] of map) {
      if (!isStorableKey(key)) {
        throw this.#refusal("is a Map with a key that cannot be stored");
      }
      const storedKey = this.copy(key) as StoredKey;
      copy.set(storedKey, this.#child(String(storedKey), item));
    }
    return copy;
  }

  #copySet(set: ReadonlySet<unknown>): StoredValue {
    const copy = new Set<StoredValue>();
    this.grow(setFrame(set.size));
    for (const item of set) copy.add(this.#child(copy.size, item));
    return copy;
  }

  #child(segment: string | number, value: unknown): StoredValue {
    this.#path.push(segment);
    const copy = this.copy(value);
    this.#path.pop();
    return copy;
  }

  #refusal(reason: string): TypeError {
    const path = [this.#key, ...this.#path].map(pathSegment).join("");
    return new TypeError(`Cannot set ${quote(this.#key)}: ${path} ${reason}`);
  }
}

function isStorableKey(key: unknown): key is StoredKey {
  if (typeof key === "number") return Number.isFinite(key);
  return key === null || ["string", "boolean", "bigint"].includes(typeof key);
}

function className(value: object): string {
  const name = Object.getPrototypeOf(value).constructor?.name;
  return typeof name === "string" && name !== "" ? name : "a class";
}

function pathSegment(segment: string | number, index: number): string {
  if (typeof segment === "number") return `[${segment}]`;
  if (!/^[A-Za-z_$][\w$]{0,63}$/.test(segment)) {
    return index === 0 ? quote(segment) : `[${quote(segment)}]`;
  }
  return index === 0 ? segment : `.${segment}`;
}

/** A key in an error message: quoted, and cut when it is long. */
export function quote(key: string): string {
  return JSON.stringify(key.length > 64 ? `${key.slice(0, 61)}...` : key);
}
