/** Reads the cookies of express-session. */
import { Buffer } from "node:buffer";
import { createHmac, timingSafeEqual } from "node:crypto";

/** How express-session was set up. */
export interface SidCookieOptions {
  /** Its `secret`, or all of them. */
  readonly secret: string | readonly string[];
  /**
   * Its `name`.
   *
   * @default {"connect.sid"}
   */
  readonly name?: string | undefined;
}

/**
 * The session's id in a `Cookie` header.
 *
 * @returns `undefined` if there is none that was signed with one of the secrets.
 */
export function sidIn(
  header: string | null | undefined,
  { secret, name = "connect.sid" }: SidCookieOptions,
): string | undefined {
  const secrets = [secret].flat();
  for (const pair of header?.split(";") ?? []) {
    const at = pair.indexOf("=");
    if (pair.slice(0, at).trim() !== name) continue;
    const sid = unsigned(decoded(pair.slice(at + 1).trim()), secrets);
    if (sid !== undefined) return sid;
  }
  return undefined;
}

function decoded(value: string): string {
  try {
    return decodeURIComponent(value);
  } catch {
    return "";
  }
}

/** `s:`, the id, a dot, and HMAC-SHA256 of the id in base64 without padding. */
function unsigned(
  value: string,
  secrets: readonly string[],
): string | undefined {
  const dot = value.lastIndexOf(".");
  if (!value.startsWith("s:") || dot < 0) return undefined;
  const sid = value.slice(2, dot);
  const shown = Buffer.from(value.slice(dot + 1));
  const isSigned = secrets.some((secret) => {
    const digest = createHmac("sha256", secret).update(sid).digest("base64");
    const due = Buffer.from(digest.replace(/=+$/, ""));
    return due.length === shown.length && timingSafeEqual(due, shown);
  });
  return isSigned ? sid : undefined;
}
