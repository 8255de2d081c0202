/** What ties a session to a device: the text in its record, and what is made from it. */
import { createHmac } from "node:crypto";
import { areEqual, ID_LENGTH, random } from "../secret/token.ts";
import type { DeviceKey } from "./proof.ts";

/**
 * What a record's `binding` says. As text:
 *
 * | text | meaning |
 * | --- | --- |
 * | `seed.stamp` | offered: the browser may register a key |
 * | `seed.stamp.0.key` | registered, and the browser was not yet seen with what it got for it |
 * | `seed.stamp.from.key` | enforced from that instant |
 */
export interface Binding {
  /** What challenges and bound cookies are made from: 128 random bits. */
  readonly seed: string;
  /**
   * The time of the newest challenge that was answered, or of the offer, in
   * milliseconds since the Unix epoch.
   */
  readonly stamp: number;
  /** The device's key, once it is registered. */
  readonly key: DeviceKey | undefined;
  /** From when it is enforced, in the same unit; 0 as long as that is open. */
  readonly from: number;
}

/** A challenge, taken apart. */
export interface Challenge {
  /** The session's id. */
  readonly id: string;
  /** When it was made, in milliseconds since the Unix epoch. */
  readonly time: number;
  /** What only the server can have made of the two. */
  readonly mac: string;
}

/** What a code is for; one for one purpose is worth nothing for another. */
type Purpose = "registration" | "proof" | "cookie";

const SEED_BYTES = 16;

/** 132 bits. */
const MAC_LENGTH = 22;

/** Instants are written in few characters. */
const RADIX = 36;

const BINDING =
  /^([\w-]{22})\.([\da-z]{1,10})(?:\.([\da-z]{1,10})\.([ER][\w-]+))?$/;
const CHALLENGE = new RegExp(
  `^([\\w-]{${ID_LENGTH}})\\.([\\da-z]{1,10})\\.([\\w-]{${MAC_LENGTH}})$`,
);
const COOKIE = new RegExp(`^([\\da-z]{1,10})\\.([\\w-]{${MAC_LENGTH}})$`);

/** A binding that a browser may register a key for. */
export function newBinding(now: number): Binding {
  const stamp = Math.floor(now);
  return { seed: random(SEED_BYTES), stamp, key: undefined, from: 0 };
}

/** The binding as a record keeps it. */
export function bindingText({ seed, stamp, key, from }: Binding): string {
  const offered = `${seed}.${stamp.toString(RADIX)}`;
  return key === undefined
    ? offered
    : `${offered}.${from.toString(RADIX)}.${key}`;
}

/**
 * Reads what a record keeps.
 *
 * @returns `undefined` if it is none of that.
 */
export function parseBinding(text: string): Binding | undefined {
  const [, seed, stamp, from = "0", key] = BINDING.exec(text) ?? [];
  if (seed === undefined || stamp === undefined) return undefined;
  return { seed, stamp: instant(stamp), key, from: instant(from) };
}

/** Whether a record's binding names a device's key. */
export function isBound(text: string | undefined): boolean {
  return text !== undefined && parseBinding(text)?.key !== undefined;
}

/** The name of the cookie that says that a request is of a session's device. */
export function boundName(sessionCookie: string, id: string): string {
  return `${sessionCookie}-${id.slice(0, 8)}`;
}

/** The value of that cookie, good until an instant. */
export function boundValue(
  { seed }: Binding,
  id: string,
  deadline: number,
): string {
  const time = deadline.toString(RADIX);
  return `${time}.${mac(seed, "cookie", id, time)}`;
}

/**
 * Until when a value of that cookie is good.
 *
 * @returns `undefined` if it was not made for this session, or is over.
 */
export function deadlineOf(
  { seed }: Binding,
  id: string,
  value: string,
  at: number,
): number | undefined {
  const [, time, shown] = COOKIE.exec(value) ?? [];
  if (time === undefined || shown === undefined) return undefined;
  const deadline = instant(time);
  // The cheaper half first.
  if (deadline <= at) return undefined;
  return areEqual(mac(seed, "cookie", id, time), shown) ? deadline : undefined;
}

/** A challenge for a new key. */
export function registrationChallenge(
  { seed, stamp }: Binding,
  id: string,
): string {
  return challengeText(seed, "registration", id, stamp);
}

/** A challenge for the key that there is, newer than any that was answered. */
export function proofChallenge(
  { seed, stamp }: Binding,
  id: string,
  now: number,
): string {
  // A server whose clock is ahead may have answered the one before.
  const time = Math.max(Math.floor(now), stamp + 1);
  return challengeText(seed, "proof", id, time);
}

/** Takes a challenge apart; `undefined` if it cannot be one. */
export function parseChallenge(text: string): Challenge | undefined {
  const [, id, time, mac] = CHALLENGE.exec(text) ?? [];
  if (id === undefined || time === undefined || mac === undefined) {
    return undefined;
  }
  return { id, time: instant(time), mac };
}

/** Whether a challenge was made from a binding, for this purpose. */
export function isMadeFrom(
  { seed }: Binding,
  purpose: "registration" | "proof",
  { id, time, mac: shown }: Challenge,
): boolean {
  return areEqual(mac(seed, purpose, id, time.toString(RADIX)), shown);
}

function challengeText(
  seed: string,
  purpose: Purpose,
  id: string,
  instant: number,
): string {
  const time = instant.toString(RADIX);
  return `${id}.${time}.${mac(seed, purpose, id, time)}`;
}

function mac(seed: string, purpose: Purpose, id: string, time: string): string {
  return createHmac("sha256", seed).update(`${purpose} ${id} ${time}`)
    .digest("base64url").slice(0, MAC_LENGTH);
}

function instant(text: string): number {
  return parseInt(text, RADIX);
}
