/** Which keys of encryption the environment names, and a store opened with them. */
import type { Provider } from "../core/provider.ts";
import type { Hidden } from "../providers/encrypted.ts";

/** Variables of the environment, by name. */
export type Environment = Readonly<Record<string, string | undefined>>;

/** In the place of keys: there is no encryption. In that of names: none is hidden. */
const NONE = "none";

/** The names of the variables that a store's encryption is told by. */
export interface Variables {
  readonly keys: string;
  readonly hide: string;
  /** Those that count where these are not set. */
  readonly or?: Variables;
}

/** Of the store that is looked after. */
export const OWN: Variables = { keys: "SESSION_KEYS", hide: "SESSION_HIDE" };

/** Of the store that is copied to. */
export const COPY: Variables = {
  keys: "SESSION_COPY_KEYS",
  hide: "SESSION_COPY_HIDE",
  or: OWN,
};

const HIDDEN: readonly string[] = Object.keys(
  { principal: 1, label: 1, "key-names": 1 } satisfies Record<Hidden, 1>,
);

/**
 * A store with the encryption that the environment tells, if it does.
 *
 * @throws {TypeError} If that cannot be meant. The message quotes no variable.
 */
export async function withKeys(
  provider: Provider,
  env: Environment,
  variables: Variables,
): Promise<Provider> {
  const keys = wordsIn(env, variables, "keys");
  const hide = wordsIn(env, variables, "hide");
  if (keys === undefined) {
    if (hide === undefined || hide.length === 0) return provider;
    throw unusable(variables.hide, `${variables.keys} is not set`);
  }
  if (keys.length === 0) return provider;
  if (hide?.some((word) => !HIDDEN.includes(word))) {
    throw unusable(variables.hide, `it knows ${HIDDEN.join(", ")} and ${NONE}`);
  }
  const { encrypted } = await import("../providers/encrypted.ts");
  try {
    return encrypted(provider, { keys, hide: hide as Hidden[] | undefined });
  } catch (error) {
    const { message } = error as Error;
    throw unusable(variables.keys, message.slice(message.indexOf(": ") + 2));
  }
}

/**
 * Refuses to encrypt what may be encrypted: nobody could read it any more.
 *
 * @throws {TypeError} If nothing is said about the store to copy from.
 */
export function checkCopyKeys(env: Environment): void {
  const isEncrypted = (textIn(env, COPY.keys) ?? NONE) !== NONE;
  if (!isEncrypted || textIn(env, OWN.keys) !== undefined) return;
  throw unusable(
    COPY.keys,
    `${OWN.keys} must hold the keys of the store to copy from, or "${NONE}" if it is not encrypted`,
  );
}

/** The words of a variable; `undefined` if it is not set, none for "none". */
function wordsIn(
  env: Environment,
  variables: Variables,
  what: "keys" | "hide",
): readonly string[] | undefined {
  const name = variables[what];
  const text = textIn(env, name);
  if (text === undefined) {
    return variables.or && wordsIn(env, variables.or, what);
  }
  const words = text.split(/[\s,]+/).filter((word) => word !== "");
  if (words.length === 0) throw unusable(name, `it is empty: write "${NONE}"`);
  return words.join() === NONE ? [] : words;
}

function textIn(env: Environment, name: string): string | undefined {
  return Object.hasOwn(env, name) ? env[name] : undefined;
}

function unusable(name: string, fault: string): TypeError {
  return new TypeError(`Cannot use ${name}: ${fault}`);
}
