import { assert, assertGreater } from "@std/assert";
import { describe, it } from "node:test";
import type { Provider, SessionChange } from "../core/provider.ts";
import { conformance, type MakeProvider } from "../providers/conformance.ts";
import { MemoryProvider } from "../providers/memory.ts";

describe("conformance of the memory provider", () => {
  for (const { name, run } of conformance(() => new MemoryProvider())) {
    it(name, run);
  }
});

describe("conformance of a provider that answers later", () => {
  for (const { name, run } of conformance(() => later(new MemoryProvider()))) {
    it(name, run);
  }
});

describe("conformance of a provider with a fault", () => {
  for (const [fault, makeProvider] of Object.entries(faultyProviders())) {
    it(`is refused to a provider that ${fault}`, async () => {
      assertGreater((await failures(makeProvider)).length, 0);
    });
  }

  it("says which promise is broken and how", async () => {
    const { "adopts an unknown id on update": adopts } = faultyProviders();
    const names = (await failures(adopts as MakeProvider)).join("\n");
    assert(names.includes("creates nothing"), names);
  });
});

/** The same provider with every call answered some turns later. */
function later(provider: MemoryProvider): Provider {
  return wrapped(provider, async (_name, call) => {
    for (let turn = 0; turn < 3; turn++) await Promise.resolve();
    return call();
  });
}

/** Providers that break one promise each, as real ones have done. */
function faultyProviders(): Record<string, MakeProvider> {
  return {
    "adopts an unknown id on update": faulty((provider) => ({
      update(id, change, guard, now) {
        provider.create(id, blank(change, guard.secretHash, now), now);
        return provider.update(id, change, guard, now);
      },
    })),
    "revives a session on touch": faulty((provider) => ({
      touch(id, expiresAt, now) {
        const record = blank({ expiresAt }, "", now);
        return provider.create(id, record, now) ||
          provider.touch(id, expiresAt, now);
      },
    })),
    "serves expired sessions until they are collected": faulty((provider) => ({
      read: (id, now) => provider.read(id, now - 1),
    })),
    "rewrites the whole record on update": faulty((provider) => ({
      update(id, change, guard, now) {
        const data = provider.read(id, now)?.data ?? {};
        const removed = Object.keys(data).filter((key) =>
          !(key in (change.set ?? {}))
        );
        return provider.update(id, { ...change, delete: removed }, guard, now);
      },
    })),
    "ignores the secret of the guard": faulty((provider) => ({
      update(id, change, guard, now) {
        const secretHash = provider.read(id, now)?.secretHash ?? "";
        return provider.update(id, change, { ...guard, secretHash }, now);
      },
    })),
    "ignores the version of the guard": faulty((provider) => ({
      update: (id, change, { secretHash }, now) =>
        provider.update(id, change, { secretHash }, now),
    })),
    "reads and writes an update in two steps": faulty((provider) => ({
      async update(id, change, guard, now) {
        const data = provider.read(id, now)?.data ?? {};
        await Promise.resolve();
        const set = { ...data, ...change.set };
        return provider.update(id, { ...change, set }, guard, now);
      },
    })),
    "moves no deadline on touch": faulty((provider) => ({
      touch: (id, _expiresAt, now) => {
        const record = provider.read(id, now);
        return record !== undefined &&
          provider.touch(id, record.expiresAt, now);
      },
    })),
    "counts a touch as a version": faulty((provider) => ({
      touch(id, expiresAt, now) {
        const secretHash = provider.read(id, now)?.secretHash ?? "";
        const guard = { secretHash };
        return provider.update(id, { expiresAt }, guard, now) === "done";
      },
    })),
    "destroys nothing": faulty((provider) => ({
      destroy: (id) => provider.read(id, 0) !== undefined,
    })),
    "collects live sessions": faulty((provider) => ({
      gc: (now, limit) => provider.gc(now + 2, limit),
    })),
    "collects more than its limit": faulty((provider) => ({
      gc: (now, limit) => provider.gc(now, limit * 2),
    })),
    "lists expired sessions": faulty((provider) => ({
      list: (principal) => provider.list(principal, 0),
    })),
    "lists everybody's sessions": faulty((provider) => ({
      list: (principal, now) => [
        ...provider.list(principal, now),
        ...provider.list("bob", now),
      ],
    })),
    "forgets whom to spare": faulty((provider) => ({
      destroyAll: (principal) => provider.destroyAll(principal),
    })),
    "works on after it was closed": faulty(() => ({ close() {} })),
    "shares its sessions with every other one": () => {
      SHARED.close = () => {};
      return SHARED;
    },
  };
}

const SHARED = new MemoryProvider();

type Faults = (provider: MemoryProvider) => Partial<Provider>;

function faulty(faults: Faults): MakeProvider {
  return () => {
    const provider = new MemoryProvider();
    const methods = faults(provider) as Record<string, Call>;
    return wrapped(provider, (name, call, args) => {
      const method = methods[name];
      return method === undefined ? call() : method(...args);
    });
  };
}

type Call = (...args: never[]) => unknown;

function wrapped(
  provider: MemoryProvider,
  around: (name: string, call: () => unknown, args: never[]) => unknown,
): Provider {
  return new Proxy(provider, {
    get(target, name) {
      const method = target[name as keyof MemoryProvider];
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

function blank(change: SessionChange, secretHash: string, now: number) {
  return {
    data: {},
    secretHash,
    renewedAt: now,
    createdAt: now,
    accessedAt: now,
    expiresAt: change.expiresAt,
    idleTimeout: 600,
    absoluteTimeout: 6000,
    persistent: false,
  };
}

async function failures(makeProvider: MakeProvider): Promise<string[]> {
  const failed: string[] = [];
  for (const { name, run } of conformance(makeProvider)) {
    await run().catch(() => failed.push(name));
  }
  return failed;
}
