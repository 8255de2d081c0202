/** What a session can hold, and the forms in which it is kept and handed out. */
/**
 * What a session can hold: JSON values, and `bigint`, `Date`, `Map`, `Set` and
 * `Uint8Array`, nested up to 100 levels deep. Keys of a `Map` are primitive.
 */
export type StoredValue =
  | null
  | boolean
  | number
  | string
  | bigint
  | Date
  | Uint8Array
  | readonly StoredValue[]
  | { readonly [key: string]: StoredValue }
  | ReadonlyMap<StoredKey, StoredValue>
  | ReadonlySet<StoredValue>;

/** What a stored `Map` can be keyed by. */
export type StoredKey = null | boolean | number | string | bigint;

/**
 * The data of a session by key: a frozen object without prototype, so that
 * `__proto__` and `constructor` are keys like any other.
 */
export type StoredData = { readonly [key: string]: StoredValue };

/** How a stored value is handed out: nothing in it can be assigned to. */
export type ReadonlyDeep<T> = T extends
  | null
  | undefined
  | boolean
  | number
  | string
  | bigint
  | Date
  | Uint8Array ? T
  : T extends ReadonlyMap<infer K, infer V> ? ReadonlyMap<K, ReadonlyDeep<V>>
  : T extends ReadonlySet<infer V> ? ReadonlySet<ReadonlyDeep<V>>
  : T extends readonly (infer U)[]
    ? number extends T["length"] ? readonly ReadonlyDeep<U>[]
    : { readonly [K in keyof T]: ReadonlyDeep<T[K]> }
  : T extends object ? { readonly [K in keyof T]: ReadonlyDeep<T[K]> }
  : T;

/**
 * How a stored value is handed to a change: as `ReadonlyDeep` says, but for a
 * `Map` and a `Set`, which are copies that the change may write to and return.
 */
export type Changeable<T> = T extends ReadonlyMap<infer K, infer V>
  ? Map<K, Changeable<V>>
  : T extends ReadonlySet<infer V> ? Set<Changeable<V>>
  : T extends readonly (infer U)[]
    ? number extends T["length"] ? readonly Changeable<U>[]
    : { readonly [K in keyof T]: Changeable<T[K]> }
  : T extends
    | null
    | undefined
    | boolean
    | number
    | string
    | bigint
    | Date
    | Uint8Array ? T
  : T extends object ? { readonly [K in keyof T]: Changeable<T[K]> }
  : T;

/** Data without a single key. */
export const EMPTY_DATA: StoredData = Object.freeze(emptyObject());

/**
 * An object without prototype, to be filled. Not by `Object.create(null)`, which
 * V8 keeps as a hash table: larger, and slower to copy and to freeze.
 */
export function emptyObject(): Record<string, StoredValue> {
  return Object.setPrototypeOf({}, null);
}

/** Assigns a key as data, `__proto__` included. */
export function put(target: object, key: string, value: unknown): void {
  if (key !== "__proto__") {
    (target as Record<string, unknown>)[key] = value;
    return;
  }
  Object.defineProperty(target, key, {
    value,
    writable: true,
    enumerable: true,
    configurable: true,
  });
}

/** Whether a plain object rather than an instance of some class. */
export function isPlainObject(value: object): boolean {
  const prototype = Object.getPrototypeOf(value);
  return prototype === null || Object.getPrototypeOf(prototype) === null;
}

/**
 * Whether a stored value can be handed out as it is. A container is frozen only
 * when everything in it is, because a `Date`, `Map`, `Set` or `Uint8Array`
 * cannot be.
 */
export function isShareable(value: StoredValue): boolean {
  if (typeof value !== "object" || value === null) return true;
  // What is not frozen here is extensible; Bun looks at all items for isFrozen.
  return !Object.isExtensible(value);
}

/**
 * The form of a stored value that a handler may see: itself when it is deeply
 * frozen, else a copy.
 */
export function view(value: StoredValue): StoredValue {
  if (isShareable(value)) return value;
  if (value instanceof Date) return new Date(value.getTime());
  if (value instanceof Uint8Array) return value.slice();
  if (value instanceof Set) return new Set(Array.from(value, view));
  if (value instanceof Map) {
    return new Map(Array.from(value, ([key, item]) => [key, view(item)]));
  }
  if (Array.isArray(value)) return Object.freeze(value.map(view));
  const copy = {};
  for (const [key, item] of Object.entries(value as StoredData)) {
    put(copy, key, view(item));
  }
  return Object.freeze(copy);
}

/** The form of a stored value, or of none, that a handler may see. */
export function viewed(
  value: StoredValue | undefined,
): StoredValue | undefined {
  return value === undefined ? undefined : view(value);
}
