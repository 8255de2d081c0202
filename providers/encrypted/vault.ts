/** What is encrypted of a record, and how it is found again. */
import { Buffer } from "node:buffer";
import { SessionError } from "../../core/errors.ts";
import { ownOf } from "../../core/option_names.ts";
import type {
  NewSessionRecord,
  SessionChange,
  SessionRecord,
  SessionSummary,
} from "../../core/provider.ts";
import { toRecord } from "../../core/store/record.ts";
import { decode, encode } from "../../core/value/codec.ts";
import {
  EMPTY_DATA,
  emptyObject,
  put,
  type StoredData,
  type StoredValue,
} from "../../core/value/types.ts";
import { seal, unseal } from "./cipher.ts";
import { KEY_ID_LENGTH, type MasterKey } from "./key.ts";

/** What an application can ask to have encrypted beside the values. */
export type Hidden = "principal" | "label" | "key-names";

/** What the vault's own entries begin with; a key that does gets one more. */
const RESERVED = "*";

/** The entry that holds a hidden principal. */
const PRINCIPAL = "*principal";

/** Between a hidden name and its value: JSON has no such character in it. */
const AFTER_NAME = "\n";

/** What is encrypted, so that none of it passes for another. */
type Kind = "value" | "named value" | "principal" | "label" | "fingerprint";

/** Where an encrypted text belongs. */
interface Place {
  readonly id: string;
  readonly kind: Kind;
  /** Under what it is stored; the digest of a principal. */
  readonly name?: string | undefined;
}

/** Every field of a record, named: a new one does not compile until it is. */
type Fields = {
  [Key in keyof Required<NewSessionRecord>]: NewSessionRecord[Key];
};

/** Turns records and changes into what the store may see, and back. */
export class Vault {
  readonly #keys: readonly [MasterKey, ...MasterKey[]];
  readonly #byId: ReadonlyMap<string, MasterKey>;
  readonly #hidesPrincipal: boolean;
  readonly #hidesLabel: boolean;
  readonly #hidesNames: boolean;

  constructor(
    keys: readonly [MasterKey, ...MasterKey[]],
    hidden: ReadonlySet<Hidden>,
  ) {
    this.#keys = keys;
    this.#byId = new Map(keys.map((key) => [key.id, key]));
    this.#hidesPrincipal = hidden.has("principal");
    this.#hidesLabel = hidden.has("label");
    this.#hidesNames = hidden.has("key-names");
  }

  /**
   * What a principal may be stored as. Sessions move from the digests of other
   * keys to that of the first, which therefore comes last: whoever asks in this
   * order misses none.
   */
  digestsOf(principal: string): readonly string[] {
    if (!this.#hidesPrincipal) return [principal];
    return this.#keys.map((key) => key.principalDigest(principal)).reverse();
  }

  /** A record as the store may see it. */
  sealRecord(id: string, given: NewSessionRecord): NewSessionRecord {
    const record = ownOf(given);
    const fields: Fields = {
      data: this.#sealData(id, record.data, record.principal),
      secretHash: record.secretHash,
      family: record.family,
      renewedAt: record.renewedAt,
      previous: record.previous,
      principal: this.#storedPrincipal(record.principal),
      label: this.#storedLabel(id, record.label),
      authenticatedAt: record.authenticatedAt,
      fingerprint: this.#storedFingerprint(id, record.fingerprint),
      binding: record.binding,
      createdAt: record.createdAt,
      accessedAt: record.accessedAt,
      idleTimeout: record.idleTimeout,
      absoluteTimeout: record.absoluteTimeout,
      persistent: record.persistent,
    };
    return Object.freeze(fields);
  }

  /** A change as the store may see it. */
  sealChange(id: string, given: SessionChange): SessionChange {
    const change = ownOf(given);
    const { principal, label, fingerprint } = change;
    return {
      ...change,
      set: this.#sealData(id, change.set ?? EMPTY_DATA, principal),
      delete: this.#namesToDelete(id, change),
      principal: this.#storedPrincipal(principal),
      label: this.#storedLabel(id, label),
      fingerprint: this.#storedFingerprint(id, fingerprint),
    };
  }

  /**
   * A record as it was before {@linkcode sealRecord}.
   *
   * @throws {SessionError} With code `"corrupt"`, if that was with another key,
   * or if anything was changed or moved.
   */
  openRecord(id: string, given: SessionRecord): SessionRecord {
    const record = ownOf(given);
    const { fingerprint } = record;
    const opened = {
      ...record,
      data: this.#openData(id, record.data),
      principal: this.#openPrincipal(id, record),
      label: this.#openLabel(id, record.label),
      fingerprint: fingerprint === undefined
        ? undefined
        : this.#openText({ id, kind: "fingerprint" }, fingerprint),
    };
    return toRecord(opened, record.version);
  }

  /**
   * What a list tells of a session, as it was.
   *
   * @throws {SessionError} As {@linkcode openRecord}, for the label alone.
   */
  openSummary(summary: SessionSummary): SessionSummary {
    if (!this.#hidesLabel) return summary;
    return { ...summary, label: this.#openLabel(summary.id, summary.label) };
  }

  #sealData(
    id: string,
    data: StoredData,
    principal: string | null | undefined,
  ): StoredData {
    const sealed = emptyObject();
    for (const name of Object.keys(data)) {
      const stored = this.#storedName(id, name, this.#keys[0]);
      const text = encode(data[name] as StoredValue);
      put(sealed, stored, this.#sealValue({ id, name: stored }, name, text));
    }
    if (this.#hidesPrincipal && typeof principal === "string") {
      const name = this.#keys[0].principalDigest(principal);
      const place: Place = { id, kind: "principal", name };
      sealed[PRINCIPAL] = this.#seal(place, encode(principal));
    }
    return Object.freeze(sealed);
  }

  #sealValue(
    place: Omit<Place, "kind">,
    name: string,
    text: string,
  ): string {
    return this.#hidesNames
      ? this.#seal(
        { ...place, kind: "named value" },
        JSON.stringify(name) + AFTER_NAME + text,
      )
      : this.#seal({ ...place, kind: "value" }, text);
  }

  /** What is deleted, and what stands elsewhere for that which is written. */
  #namesToDelete(id: string, change: SessionChange): readonly string[] {
    const { set = EMPTY_DATA, delete: removed = [], principal } = change;
    const [first, ...others] = this.#keys;
    const names = removed.map((name) => this.#storedName(id, name, first));
    if (this.#hidesNames) {
      for (const name of [...removed, ...Object.keys(set)]) {
        names.push(...others.map((key) => key.nameDigest(id, name)));
      }
    }
    if (this.#hidesPrincipal && principal === null) names.push(PRINCIPAL);
    return names;
  }

  #storedName(id: string, name: string, key: MasterKey): string {
    if (this.#hidesNames) return key.nameDigest(id, name);
    return name.startsWith(RESERVED) ? RESERVED + name : name;
  }

  #storedPrincipal<T extends null | undefined>(
    principal: string | T,
  ): string | T {
    if (typeof principal !== "string" || !this.#hidesPrincipal) {
      return principal;
    }
    return this.#keys[0].principalDigest(principal);
  }

  #storedLabel<T extends null | undefined>(
    id: string,
    label: string | T,
  ): string | T {
    if (typeof label !== "string" || !this.#hidesLabel) return label;
    return this.#seal({ id, kind: "label" }, encode(label));
  }

  /** Always hidden: nobody but the manager asks for it. */
  #storedFingerprint<T extends null | undefined>(
    id: string,
    fingerprint: string | T,
  ): string | T {
    if (typeof fingerprint !== "string") return fingerprint;
    return this.#seal({ id, kind: "fingerprint" }, encode(fingerprint));
  }

  #openData(id: string, sealed: StoredData): StoredData {
    const data = emptyObject();
    for (const stored of Object.keys(sealed)) {
      if (stored === PRINCIPAL) continue;
      const [name, text] = this.#openValue(id, stored, sealed[stored]);
      if (Object.hasOwn(data, name)) throw corrupt(id);
      put(data, name, decode(text));
    }
    return Object.freeze(data);
  }

  #openValue(
    id: string,
    stored: string,
    sealed: StoredValue | undefined,
  ): [name: string, text: string] {
    if (!this.#hidesNames) {
      const isEscaped = stored.startsWith(RESERVED);
      const text = this.#open({ id, kind: "value", name: stored }, sealed);
      return [isEscaped ? stored.slice(RESERVED.length) : stored, text];
    }
    const place: Place = { id, kind: "named value", name: stored };
    const text = this.#open(place, sealed);
    const end = text.indexOf(AFTER_NAME);
    return [JSON.parse(text.slice(0, end)), text.slice(end + 1)];
  }

  #openPrincipal(id: string, record: SessionRecord): string | undefined {
    const { principal: name, data } = record;
    const isHidden = Object.hasOwn(data, PRINCIPAL);
    if (isHidden !== (this.#hidesPrincipal && name !== undefined)) {
      throw corrupt(id);
    }
    return isHidden
      ? this.#openText({ id, kind: "principal", name }, data[PRINCIPAL])
      : name;
  }

  #openLabel(id: string, label: string | undefined): string | undefined {
    if (label === undefined || !this.#hidesLabel) return label;
    return this.#openText({ id, kind: "label" }, label);
  }

  /** Opens what was a text before it was encoded as JSON, which takes any. */
  #openText(place: Place, sealed: StoredValue | undefined): string {
    return JSON.parse(this.#open(place, sealed));
  }

  #seal(place: Place, text: string): string {
    const [first] = this.#keys;
    const key = first.ofSession(place.id);
    const sealed = seal(Buffer.from(text), { key, context: contextOf(place) });
    return first.id + sealed.toString("base64url");
  }

  #open(place: Place, sealed: StoredValue | undefined): string {
    if (typeof sealed !== "string") throw corrupt(place.id);
    const master = this.#byId.get(sealed.slice(0, KEY_ID_LENGTH));
    if (master === undefined) throw corrupt(place.id);
    const text = sealed.slice(KEY_ID_LENGTH);
    const bytes = Buffer.from(text, "base64url");
    // Bits that a decoder skips are bits of the text all the same.
    if (bytes.toString("base64url") !== text) throw corrupt(place.id);
    const key = master.ofSession(place.id);
    const plain = unseal(bytes, { key, context: contextOf(place) });
    if (plain === undefined) throw corrupt(place.id);
    return plain.toString();
  }
}

/** The same for no two places. */
function contextOf({ kind, id, name = "" }: Place): Buffer {
  return Buffer.from(JSON.stringify([kind, id, name]));
}

function corrupt(id: string): SessionError {
  return new SessionError(
    "corrupt",
    "Cannot decrypt session: it is not what encrypted() wrote for it with one of these keys and this hide",
    { id },
  );
}
