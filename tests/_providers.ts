/**
 * Stand-ins for a provider: one that answers later, and calls that are replaced,
 * counted, held up or made to fail.
 *
 * @module
 */
import type { Provider } from "../core/provider.ts";

/** A call of a provider, by its name. */
export type Call = Exclude<keyof Provider, "touchInterval">;

/** The same provider, with every call answered some turns later. */
export function later(provider: Provider): Provider {
  return around(provider, async (_name, call) => {
    for (let turn = 0; turn < 3; turn++) await Promise.resolve();
    return call();
  });
}

/**
 * The same provider, with something done around every call but `observe`.
 *
 * @param run Gets the name of the call, the call and its arguments.
 */
export function around(
  provider: Provider,
  run: (name: Call, call: () => unknown, args: readonly unknown[]) => unknown,
): Provider {
  return new Proxy(provider, {
    get(target, name) {
      const member: unknown = Reflect.get(target, name);
      if (typeof member !== "function") return member;
      if (name === "observe") return member.bind(target);
      return (...args: unknown[]) =>
        run(name as Call, () => member.apply(target, args), args);
    },
  });
}

/** Puts another call in the place of one of a provider's, until it is restored. */
export function replaceCall(
  provider: Provider,
  name: Call,
  call: (...args: unknown[]) => unknown,
): void {
  Object.defineProperty(provider, name, {
    value: call,
    configurable: true,
    writable: true,
  });
}

/** Puts the provider's own call back. */
export function restoreCall(provider: Provider, name: Call): void {
  Reflect.deleteProperty(provider, name);
}

/** Makes a call of a provider fail until it is restored. */
export function failCall(
  provider: Provider,
  name: Call,
  error: unknown = new Error("disk on fire"),
): void {
  replaceCall(provider, name, () => {
    throw error;
  });
}

/** Notes the calls of a provider from now on, in order, by name. */
export function noteCalls(provider: Provider): Call[] {
  const calls: Call[] = [];
  for (const name of CALLS) {
    const own = provider[name] as (...args: unknown[]) => unknown;
    replaceCall(provider, name, (...args) => {
      calls.push(name);
      return own.apply(provider, args);
    });
  }
  return calls;
}

const CALLS = [
  "create",
  "read",
  "update",
  "touch",
  "destroy",
  "list",
  "destroyAll",
  "gc",
  "clear",
] as const;
