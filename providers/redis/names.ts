/** What names of keys are made of. */
import { ID_LENGTH } from "../../core/secret/token.ts";

/** Whether something is an id, and no other key of this prefix. */
export function isId(id: string): boolean {
  return id.length === ID_LENGTH && /^[\w-]+$/.test(id);
}

/**
 * @throws {TypeError} If a new session could not be told from other keys.
 */
export function checkId(id: string): void {
  if (isId(id)) return;
  throw new TypeError(
    `Cannot create session: its id must be ${ID_LENGTH} characters of base64url: received ${
      JSON.stringify(id)
    }`,
  );
}

/**
 * @throws {TypeError} If it would claim every key.
 */
export function checkPrefix(prefix: string): string {
  if (typeof prefix === "string" && prefix !== "") return prefix;
  throw new TypeError(
    `Cannot create RedisProvider: prefix must be a string that is not empty: received ${
      typeof prefix === "string" ? "an empty one" : typeof prefix
    }`,
  );
}
