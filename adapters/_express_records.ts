/** The records of express-session's sessions: what of them a provider keeps. */
import { Buffer } from "node:buffer";
import { createHash, randomBytes } from "node:crypto";
import type {
  NewSessionRecord,
  Provider,
  SessionRecord,
} from "../core/provider.ts";
import type { StoredData, StoredValue } from "../core/value/types.ts";

/** A session as express-session hands it over: JSON, with a cookie. */
export type ExpressData = Record<string, unknown>;

/** What a session is made of, key by key, as text. */
type Texts = ReadonlyMap<string, string>;

/**
 * What a request has loaded: the difference to it is what the request did. It is
 * handed out with the session and comes back with it, and is never a part of it.
 */
export class Loaded {
  readonly id: string;
  /** Tells a session from a later one of the same id. */
  readonly family: string;
  texts: Texts;
  idleTimeout: number;
  principal: string | undefined;

  constructor(id: string, record: NewSessionRecord) {
    this.id = id;
    this.family = record.family;
    this.texts = textsOf(record.data);
    this.idleTimeout = record.idleTimeout;
    this.principal = record.principal;
  }

  /** Left out wherever the session is made into JSON. */
  toJSON(): undefined {
    return undefined;
  }
}

/** What a session has become. */
export interface Written {
  readonly texts: Texts;
  /** In seconds. */
  readonly idleTimeout: number;
  readonly principal: string | undefined;
}

/** A session that no secret opens: only a store for express-session can. */
const NO_SECRET = `AAAA${"0".repeat(64)}`;

/** As good as none, in seconds: express-session knows no absolute timeout. */
const HUNDRED_YEARS = 100 * 365.25 * 24 * 60 * 60;

/** The characters of a session's id, of which each holds 6 bits. */
const ID_LENGTH = 24;

const FAMILY_BYTES = 8;

/** The id under which a session is filed; theirs opens it, and is not stored. */
export function idOf(sid: unknown): string {
  const hash = createHash("sha256").update(String(sid));
  return hash.digest("base64url").slice(0, ID_LENGTH);
}

/** Whether a record is one of these sessions. */
export function isOfExpress({ secretHash }: SessionRecord): boolean {
  return secretHash === NO_SECRET;
}

/** A session, as express-session wants it back. */
export function dataOf(record: SessionRecord): ExpressData {
  const data: ExpressData = {};
  for (const [key, text] of textsOf(record.data)) data[key] = JSON.parse(text);
  const { cookie } = data as { cookie?: ExpressData };
  if (typeof cookie?.originalMaxAge === "number") {
    const end = record.accessedAt + record.idleTimeout * 1000;
    cookie.expires = new Date(end).toISOString();
  }
  return data;
}

/** What of a session is stored: all that JSON can hold. */
export function textsIn(session: object): Texts {
  const json: ExpressData = JSON.parse(JSON.stringify(session));
  // When it ends follows from when it was used, and changes with every request.
  if (json.cookie) delete (json.cookie as { expires?: unknown }).expires;
  return textsOf(json as StoredData);
}

function textsOf(data: StoredData): Texts {
  const entries = Object.entries(data);
  return new Map(entries.map(([key, value]) => [key, JSON.stringify(value)]));
}

/** Stores a session that was never loaded. */
export async function create(
  provider: Provider,
  id: string,
  { texts, idleTimeout, principal }: Written,
  now: number,
): Promise<Loaded | undefined> {
  const record: NewSessionRecord = {
    data: storedOf(texts),
    secretHash: NO_SECRET,
    family: Buffer.from(randomBytes(FAMILY_BYTES)).toString("hex"),
    renewedAt: now,
    previous: undefined,
    principal,
    label: undefined,
    authenticatedAt: principal === undefined ? undefined : now,
    fingerprint: undefined,
    binding: undefined,
    createdAt: now,
    accessedAt: now,
    idleTimeout,
    absoluteTimeout: HUNDRED_YEARS,
    persistent: false,
  };
  const isNew = await provider.create(id, record, now);
  return isNew ? new Loaded(id, record) : undefined;
}

/**
 * Writes the difference to what was loaded, and nothing else: what other requests
 * wrote under other keys stays.
 *
 * @returns `false`, and revives nothing, if the session has gone.
 */
export async function update(
  provider: Provider,
  loaded: Loaded,
  { texts, idleTimeout, principal }: Written,
  now: number,
): Promise<boolean> {
  const { id, family } = loaded;
  const set = [...texts].filter(([key, text]) =>
    loaded.texts.get(key) !== text
  );
  const gone = [...loaded.texts.keys()].filter((key) => !texts.has(key));
  const hasSignedIn = principal !== loaded.principal;
  const isSame = set.length === 0 && gone.length === 0 && !hasSignedIn &&
    idleTimeout === loaded.idleTimeout;
  if (isSame) return await provider.touch(id, now);
  const result = await provider.update(
    id,
    {
      set: storedOf(new Map(set)),
      delete: gone,
      idleTimeout,
      ...(hasSignedIn
        ? {
          principal: principal ?? null,
          authenticatedAt: principal === undefined ? null : now,
        }
        : {}),
    },
    { family },
    now,
  );
  Object.assign(loaded, { texts, idleTimeout, principal });
  return result === "done";
}

function storedOf(texts: Texts): StoredData {
  const data: Record<string, StoredValue> = Object.create(null);
  for (const [key, text] of texts) data[key] = JSON.parse(text);
  return Object.freeze(data);
}
