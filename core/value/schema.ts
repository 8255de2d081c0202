/** Schemas of the application's own, which stored values are checked against. */
import { quote, takeIn } from "./intake.ts";
import { type StoredValue, view } from "./types.ts";

/**
 * A schema of any library that follows Standard Schema 1.0
 * (https://standardschema.dev), such as Zod, Valibot and ArkType.
 *
 * @typeParam Value What it makes of a value that fits.
 */
export interface StandardSchema<Value = unknown> {
  /** What the libraries have in common. */
  readonly "~standard": {
    /** The version of the standard. */
    readonly version: 1;
    /** Checks a value; a session's schemas have to answer at once. */
    readonly validate: (
      value: unknown,
    ) => SchemaResult<Value> | Promise<SchemaResult<Value>>;
    /** For the compiler alone. */
    readonly types?:
      | { readonly input: unknown; readonly output: Value }
      | undefined;
  };
}

/**
 * What a schema answers: what it made of the value, or why it does not fit.
 *
 * @typeParam Value What it makes of a value that fits.
 */
export type SchemaResult<Value = unknown> =
  | { readonly value: Value; readonly issues?: undefined }
  | { readonly issues: readonly SchemaIssue[] };

/** One reason why a value does not fit. */
export interface SchemaIssue {
  /** In words, which may repeat what is in the value. */
  readonly message: string;
  /** Where in the value. */
  readonly path?:
    | readonly (PropertyKey | { readonly key: PropertyKey })[]
    | undefined;
}

/**
 * What sessions hold, as schemas say; see {@linkcode SchemaOptions.schema}.
 *
 * @typeParam Data What they hold, by key.
 */
export type DataSchema<Data extends object> = {
  readonly [Key in keyof Data]?: StandardSchema<Data[Key]>;
};

/**
 * Options that say what sessions hold.
 *
 * @typeParam Data What they hold, by key.
 */
export interface SchemaOptions<Data extends object> {
  /**
   * A schema for each key that is to be checked. Values are checked as they are
   * read, and handed out as the schema makes them; one that does not fit any more,
   * for instance after a release, is read as if it were not there, and the rest
   * of the session is as it was. What `set` and `update` write has to fit as well.
   *
   * A schema must fit what it makes itself: what is written is read again.
   *
   * @default {undefined}
   */
  readonly schema?: DataSchema<Data> | undefined;
  /**
   * Makes a value that fits of one that does not any more. What it returns is
   * checked as well; `undefined` for no value. The store keeps the old value until
   * the key is written.
   *
   * @default {undefined}
   */
  readonly migrate?: Migrate | undefined;
}

/** Makes a value that fits of one that was read and does not. */
export type Migrate = (key: string, value: unknown) => unknown;

/** What a stored value comes to. */
export interface Reading {
  /** What is handed out; `undefined` if it does not fit. */
  readonly value: StoredValue | undefined;
  /** Whether the schema accepts what is stored. */
  readonly fits: boolean;
}

/** The schemas of a manager, by key, and what is done with what does not fit. */
export class Schemas {
  readonly #byKey: ReadonlyMap<string, StandardSchema>;
  readonly #migrate: Migrate | undefined;

  constructor(
    byKey: ReadonlyMap<string, StandardSchema>,
    migrate: Migrate | undefined,
  ) {
    this.#byKey = byKey;
    this.#migrate = migrate;
  }

  /** Whether values of a key are checked. */
  has(key: string): boolean {
    return this.#byKey.has(key);
  }

  /**
   * What is handed out of a stored value. A schema or a migration that throws has
   * not accepted it.
   *
   * @throws {TypeError} If the schema answers with a promise.
   */
  read(key: string, stored: StoredValue): Reading {
    const own = this.#accepted(key, view(stored));
    if (own !== undefined) return { value: own, fits: true };
    const next = this.#migrated(key, stored);
    const value = next === undefined ? next : this.#accepted(key, next);
    return { value, fits: false };
  }

  /**
   * Refuses a value that could not be read again. What a schema says about it may
   * hold parts of it, so only the places are told.
   *
   * @throws {TypeError} If it does not fit.
   */
  check(key: string, value: unknown): void {
    // Of nothing, another check says more.
    if (value === undefined) return;
    const result = this.#validate(key, value);
    if (result?.issues === undefined) return;
    const places = result.issues.map(({ path = [] }) => placeOf(key, path));
    throw new TypeError(
      `Cannot set ${quote(key)}: it does not fit the schema: see ${
        [...new Set(places)].join(", ")
      }`,
    );
  }

  /** A value that the schema accepts, as it made it and as it can be kept. */
  #accepted(key: string, value: unknown): StoredValue | undefined {
    try {
      const result = this.#validate(key, value);
      return result === undefined || result.issues !== undefined
        ? undefined
        : takeIn(key, result.value, Infinity).value;
    } catch (error) {
      if (error instanceof LateAnswer) throw error;
      return undefined;
    }
  }

  #migrated(key: string, stored: StoredValue): unknown {
    try {
      return this.#migrate?.(key, view(stored));
    } catch {
      return undefined;
    }
  }

  #validate(key: string, value: unknown): SchemaResult | undefined {
    const result = this.#byKey.get(key)?.["~standard"].validate(value);
    if (!(result instanceof Promise)) return result;
    result.catch(() => {});
    throw new LateAnswer(
      `Cannot check ${
        quote(key)
      }: its schema answers with a promise: take one that answers at once`,
    );
  }
}

/** A mistake in the program, which must not look like a value that is wrong. */
class LateAnswer extends TypeError {}

function placeOf(
  key: string,
  path: NonNullable<SchemaIssue["path"]>,
): string {
  const rest = path.map((part) => typeof part === "object" ? part.key : part);
  return [key, ...rest].map((part) => `[${quote(String(part))}]`).join("");
}

/**
 * Checks the options, and settles the schemas.
 *
 * @param doing What cannot be done if they are wrong, for the message.
 * @returns `undefined` if nothing is to be checked.
 * @throws {TypeError} If one is no schema, or `migrate` has none to migrate to.
 */
export function resolveSchemas(
  doing: string,
  { schema, migrate }: SchemaOptions<object>,
): Schemas | undefined {
  if (migrate !== undefined && typeof migrate !== "function") {
    throw new TypeError(
      `Cannot ${doing}: migrate must be a function: received ${typeof migrate}`,
    );
  }
  if (schema === undefined) {
    if (migrate === undefined) return undefined;
    throw new TypeError(`Cannot ${doing}: migrate needs a schema`);
  }
  if (typeof schema !== "object" || schema === null || "~standard" in schema) {
    throw new TypeError(
      `Cannot ${doing}: schema must be an object with a schema for each key: received ${
        schema === null
          ? "null"
          : typeof schema === "object"
          ? "a schema for all of them"
          : typeof schema
      }`,
    );
  }
  const entries: readonly [string, StandardSchema | undefined][] = Object
    .entries(schema);
  const byKey = entries.flatMap(([key, given]): [string, StandardSchema][] =>
    given === undefined ? [] : [[key, checkSchema(doing, key, given)]]
  );
  return new Schemas(new Map(byKey), migrate);
}

function checkSchema(
  doing: string,
  key: string,
  schema: StandardSchema,
): StandardSchema {
  // Those of ArkType are functions.
  const { version, validate } = Object(schema)["~standard"] ?? {};
  if (version === 1 && typeof validate === "function") return schema;
  throw new TypeError(
    `Cannot ${doing}: schema of ${
      quote(key)
    } must be a Standard Schema: received ${typeof schema}`,
  );
}
