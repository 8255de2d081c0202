/**
 * What the tests use of `@std/assert`, over `node:assert`, for machines that
 * cannot reach JSR. Must agree with the real package in all that it has.
 *
 * @module
 */
import { AssertionError } from "node:assert";
import { inspect, isDeepStrictEqual } from "node:util";

export { AssertionError };

type ErrorClass<E extends Error> = abstract new (...args: never[]) => E;

export function assert(condition: unknown, message = ""): asserts condition {
  if (!condition) fail(message || "condition does not hold");
}

export function assertFalse(condition: unknown, message = ""): void {
  assert(!condition, message);
}

export function assertEquals<T>(actual: T, expected: T, message = ""): void {
  if (isEqual(actual, expected)) return;
  fail(`${inspect(actual)} does not equal ${inspect(expected)}. ${message}`);
}

export function assertNotEquals<T>(actual: T, other: T, message = ""): void {
  if (isEqual(actual, other)) fail(`${inspect(actual)} is equal. ${message}`);
}

export function assertStrictEquals<T>(
  actual: unknown,
  expected: T,
  message = "",
): asserts actual is T {
  if (Object.is(actual, expected)) return;
  fail(`${inspect(actual)} is not ${inspect(expected)}. ${message}`);
}

export function assertNotStrictEquals<T>(actual: T, other: T): void {
  if (Object.is(actual, other)) fail(`${inspect(actual)} is the same`);
}

export function assertExists<T>(
  actual: T,
  message = "",
): asserts actual is NonNullable<T> {
  assert(actual !== undefined && actual !== null, message || "is missing");
}

export function assertGreater<T>(actual: T, low: T, message = ""): void {
  if (!(actual > low)) fail(`${actual} is not above ${low}. ${message}`);
}

export function assertLess<T>(actual: T, high: T, message = ""): void {
  if (!(actual < high)) fail(`${actual} is not below ${high}. ${message}`);
}

export function assertMatch(actual: string, pattern: RegExp): void {
  if (!pattern.test(actual)) fail(`${actual} does not match ${pattern}`);
}

export function assertNotMatch(actual: string, pattern: RegExp): void {
  if (pattern.test(actual)) fail(`${actual} matches ${pattern}`);
}

export function assertStringIncludes(actual: string, part: string): void {
  if (!actual.includes(part)) fail(`${actual} does not include ${part}`);
}

export function assertInstanceOf<E extends Error>(
  actual: unknown,
  expected: ErrorClass<E>,
): asserts actual is E {
  if (!(actual instanceof expected)) {
    fail(`${inspect(actual)} is not an instance of ${expected.name}`);
  }
}

export function assertThrows<E extends Error>(
  run: () => unknown,
  errorClass: ErrorClass<E>,
  part = "",
): E {
  try {
    run();
  } catch (error) {
    return checkError(error, errorClass, part);
  }
  return fail("did not throw");
}

export async function assertRejects<E extends Error>(
  run: () => PromiseLike<unknown>,
  errorClass: ErrorClass<E>,
  part = "",
): Promise<E> {
  // A throw that is not a rejection fails here, as it does in the real package.
  const promise = run();
  try {
    await promise;
  } catch (error) {
    return checkError(error, errorClass, part);
  }
  return fail("did not reject");
}

function checkError<E extends Error>(
  error: unknown,
  errorClass: ErrorClass<E>,
  part: string,
): E {
  assertInstanceOf(error, errorClass);
  assertStringIncludes(error.message, part);
  return error;
}

export function fail(message = ""): never {
  throw new AssertionError({ message });
}

function isEqual(a: unknown, b: unknown): boolean {
  return isDeepStrictEqual(normalized(a), normalized(b));
}

/** The real package sees no difference in prototypes of plain objects or `-0`. */
function normalized(value: unknown): unknown {
  if (value === 0) return 0;
  if (typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) return value.map(normalized);
  if (value instanceof Map) {
    return new Map(Array.from(value, ([k, v]) => [k, normalized(v)]));
  }
  if (value instanceof Set) return new Set(Array.from(value, normalized));
  const prototype = Object.getPrototypeOf(value);
  if (prototype !== null && prototype !== Object.prototype) return value;
  return Object.fromEntries(
    Object.entries(value).map(([k, v]) => [k, normalized(v)]),
  );
}
