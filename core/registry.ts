/** Finds providers by name and by URL. */
import type { Provider } from "./provider.ts";

/**
 * Makes a provider.
 *
 * @param url The URL it was asked for by, or `undefined` when it was asked for
 * by its name alone.
 */
export type ProviderFactory = (url: URL | undefined) => Provider;

/** Which module of this package registers a name. */
const MODULES: ReadonlyMap<string, string> = new Map([
  ["deno-kv", "@cloakroom/session/deno-kv"],
  ["mariadb", "@cloakroom/session/mysql"],
  ["mysql", "@cloakroom/session/mysql"],
  ["postgres", "@cloakroom/session/postgres"],
  ["postgresql", "@cloakroom/session/postgres"],
  ["redis", "@cloakroom/session/redis"],
  ["rediss", "@cloakroom/session/redis"],
  ["sqlite", "@cloakroom/session/sqlite"],
  ["valkey", "@cloakroom/session/redis"],
]);

const factories = new Map<string, ProviderFactory>();

/**
 * Makes a provider known under a name, so that `new Manager({ provider: name })`
 * and URLs with that scheme find it. A provider module calls this when it is
 * imported.
 *
 * @param name A URL scheme: lowercase letters, digits, `+`, `.` and `-`.
 * @param factory Makes a new provider at every call.
 * @throws {TypeError} If the name is no URL scheme or is taken.
 *
 * @example
 * ```ts
 * import { open, register } from "@cloakroom/session";
 * import { MemoryProvider } from "@cloakroom/session/memory";
 * import { assert } from "@std/assert";
 *
 * register("small", () => new MemoryProvider({ maxSessions: 100 }));
 * assert(open("small") instanceof MemoryProvider);
 * ```
 */
export function register(name: string, factory: ProviderFactory): void {
  if (!/^[a-z][a-z\d+.-]*$/.test(name)) {
    throw new TypeError(
      `Cannot register provider: its name must be a URL scheme in lowercase: received ${name}`,
    );
  }
  if (typeof factory !== "function") {
    throw new TypeError(
      `Cannot register provider ${name}: its factory must be a function: received ${typeof factory}`,
    );
  }
  if (factories.has(name)) {
    throw new TypeError(
      `Cannot register provider ${name}: the name is already taken`,
    );
  }
  factories.set(name, factory);
}

/** The names of all registered providers, in alphabetical order. */
export function registered(): string[] {
  return [...factories.keys()].sort();
}

/**
 * Makes a provider from its name or from a URL with that scheme.
 *
 * @param nameOrUrl `"memory"`, `"memory:"`, `"memory:?maxSessions=1000"`.
 * @throws {TypeError} If no such provider is registered, or its factory refuses
 * the URL.
 */
export function open(nameOrUrl: string | URL): Provider {
  const isName = typeof nameOrUrl === "string" && !nameOrUrl.includes(":");
  const url = isName ? undefined : parse(nameOrUrl);
  const name = url?.protocol.slice(0, -1) ?? nameOrUrl as string;
  const factory = factories.get(name);
  if (factory === undefined) {
    throw new TypeError(
      `Cannot open provider "${name}": it is not among the registered ones (${
        registered().join(", ")
      }): ${remedyFor(name)}`,
    );
  }
  return factory(url);
}

/** What to do about a name that nobody has registered. */
function remedyFor(name: string): string {
  const module = MODULES.get(name);
  if (module !== undefined) return `import "${module}" first`;
  if (name === "encrypted") {
    return 'encryption goes around a provider: import { encrypted } from "@cloakroom/session/encrypted", and write encrypted(open(url), { keys })';
  }
  if (/[./\\]/.test(name)) {
    return `for a file, import "${
      MODULES.get("sqlite")
    }" and write "sqlite:${name}"`;
  }
  const modules = [...new Set(MODULES.values())].sort();
  return `there are ${modules.join(", ")}, or register one of your own`;
}

function parse(url: string | URL): URL {
  try {
    return new URL(url);
  } catch {
    // A URL of a store may hold a password, so it is not quoted.
    throw new TypeError("Cannot open provider: its URL cannot be parsed");
  }
}
