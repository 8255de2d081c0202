/**
 * Makes tokens and takes them apart, as a browser's cookie holds them.
 *
 * @module
 */
import { mintId, mintSecret, parseToken } from "../core/secret/token.ts";

/** A token of a session that nobody has. */
export function mintToken(): string {
  return mintId() + mintSecret();
}

/** The id in a token. */
export function idOf(token: string): string {
  return parseToken(token).id;
}

/** The secret in a token. */
export function secretOf(token: string): string {
  return parseToken(token).secret;
}
