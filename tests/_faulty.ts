/**
 * Makes providers that break the contract in one place.
 *
 * @module
 */
import type {
  Guard,
  NewSessionRecord,
  Provider,
  SessionChange,
  SessionRecord,
  Until,
} from "../core/provider.ts";
import type { MakeProvider } from "../providers/conformance.ts";
import { ModelProvider } from "./_model_provider.ts";

/**
 * Faults by what a provider with one does, with some words of the check that has
 * to say so.
 */
export type Faults = Readonly<
  Record<string, readonly [promise: string, MakeProvider]>
>;

/** A provider whose updates lose one field. */
export function withoutField(
  name: keyof SessionChange & keyof SessionRecord,
): Faults {
  const makeProvider = faulty((provider) => ({
    update(id, change, guard, now) {
      const { [name]: _, ...rest } = change;
      return provider.update(id, rest, guard, now);
    },
  }));
  const promise = "every field is replaced by a change that gives it";
  return { [`does not replace ${name}`]: [promise, makeProvider] };
}

/** A provider that does not look at one part of a guard. */
export function unguarded(
  name: keyof Guard,
  promise: string,
): Faults {
  const makeProvider = faulty((provider) => ({
    update(id, change, { [name]: _, ...guard }, now) {
      return provider.update(id, change, guard, now);
    },
  }));
  return { [`updates whatever ${name} is`]: [promise, makeProvider] };
}

/** A provider that compares `until` in a form of its own. */
export function comparing(
  form: (until: Until | undefined) => string,
): MakeProvider {
  return faulty((provider) => ({
    update(id, change, guard, now) {
      const { token, ...rest } = guard;
      const record = provider.read(id, now);
      const until = record?.previous?.until;
      if (token === undefined || form(token.until) !== form(until)) {
        return provider.update(id, change, guard, now);
      }
      const same = { secretHash: token.secretHash, until };
      return provider.update(id, change, { ...rest, token: same }, now);
    },
  }));
}

/** A provider that stores a deadline at creation and touch, and goes by it. */
export function indexed(
  deadlineOf: (record: SessionRecord) => number,
): MakeProvider {
  return faulty((provider) => {
    const deadlines = new Map<string, number>();
    const note = <T>(id: string, result: T): T => {
      const record = provider.records.get(id);
      if (record !== undefined) deadlines.set(id, deadlineOf(record));
      return result;
    };
    return {
      create: (id, record, now) => note(id, provider.create(id, record, now)),
      touch: (id, now) => note(id, provider.touch(id, now)),
      read(id, now) {
        const record = provider.records.get(id);
        if (record === undefined) return provider.read(id, now);
        return now < deadlines.get(id)! ? record : undefined;
      },
    };
  });
}

/** Makes a call, and puts fields of the record in their place after it. */
export function rewritten<T>(
  provider: ModelProvider,
  id: string,
  call: () => T,
  fields: () => Partial<SessionRecord>,
): T {
  const result = call();
  const record = provider.records.get(id);
  if (result === "done" && record !== undefined) {
    provider.records.set(id, { ...record, ...fields() });
  }
  return result;
}

/** An object with what it inherits as its own. */
export function flat<T extends object>(object: T): T {
  const copy: Record<string, unknown> = {};
  for (const name in object) copy[name] = object[name];
  return copy as T;
}

/** A record to adopt an unknown id with. */
export function blank({ family = "" }: Guard, now: number): NewSessionRecord {
  return {
    data: {},
    secretHash: "",
    family,
    renewedAt: now,
    createdAt: now,
    accessedAt: now,
    idleTimeout: 600,
    absoluteTimeout: 6000,
    persistent: false,
  };
}

type Methods = (provider: ModelProvider) => Partial<Provider>;

/** A model of which some calls are replaced. */
export function faulty(methodsOf: Methods): MakeProvider {
  return () => {
    const provider = new ModelProvider();
    const methods = methodsOf(provider) as Record<string, Call>;
    return wrapped(provider, (name, call, args) => {
      const method = methods[name];
      return method === undefined ? call() : method(...args);
    });
  };
}

type Call = (...args: never[]) => unknown;

/** A provider with something around each of its calls. */
export function wrapped(
  provider: Provider,
  around: (name: string, call: () => unknown, args: never[]) => unknown,
): Provider {
  return new Proxy(provider, {
    get(target, name) {
      const method = target[name as keyof Provider];
      if (typeof method !== "function") return method;
      if (name === "observe") return method.bind(target);
      return (...args: never[]) =>
        around(
          String(name),
          () => (method as Call).apply(target, args),
          args,
        );
    },
  });
}
