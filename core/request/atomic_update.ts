import type { Base, Draft } from "./draft.ts";
import { SessionError } from "../errors.ts";
import { notify } from "../events.ts";
import { followRenewal } from "./renewal.ts";
import { quote, takeIn } from "../value/intake.ts";
import { dataSize, entrySize } from "../value/size.ts";
import {
  emptyObject,
  put,
  type StoredData,
  type StoredValue,
  viewed,
} from "../value/types.ts";

/** Works out the new value of a key; `undefined` removes it. */
export type ValueChange = (value: StoredValue | undefined) => unknown;

/** How often an update goes around before it gives up. */
const MAX_ATTEMPTS = 100;

/**
 * Changes one key of a session in one atomic step, whatever other requests do
 * meanwhile: see `Session.update`.
 *
 * @returns The new value as a handler may see it.
 */
export async function updateAtomically(
  draft: Draft,
  key: string,
  change: ValueChange,
): Promise<StoredValue | undefined> {
  if (!draft.isStored || draft.isSwitched) {
    return updateUnstored(draft, key, change);
  }
  const { settings, store } = draft.host;
  for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
    if (draft.isDestroyed) draft.checkChangeable("update", key);
    const base = draft.base ?? await readBase(draft, key);
    const next = nextValue(draft, key, change, base);
    const now = settings.now();
    const result = await store.update(
      draft.id,
      { ...asChange(key, next), expiresAt: draft.deadline(now) },
      { secretHash: draft.guardHash, version: base.version },
      now,
    );
    if (result === "done") {
      draft.updated(key, next, base, now);
      return viewed(next);
    }
    if (result === "gone") {
      if (!await followRenewal(draft)) throw gone(draft, key);
      continue;
    }
    draft.outdated();
    notify(settings.onEvent, { type: "conflict", id: draft.id });
  }
  throw new SessionError(
    "conflict",
    `Cannot update ${
      quote(key)
    }: other requests changed the session first, ${MAX_ATTEMPTS} times in a row`,
  );
}

/** Nobody else knows a session that is not stored, so nobody else writes. */
function updateUnstored(
  draft: Draft,
  key: string,
  change: ValueChange,
): StoredValue | undefined {
  if (draft.isCommitted) throw gone(draft, key);
  const next = change(viewed(draft.read(key)));
  if (next === undefined) draft.remove(key);
  else draft.write(key, next);
  return viewed(draft.read(key));
}

async function readBase(draft: Draft, key: string): Promise<Base> {
  const { store, settings } = draft.host;
  const record = await store.read(draft.id, settings.now());
  if (record === undefined) throw gone(draft, key);
  draft.reread(record);
  return record;
}

function nextValue(
  draft: Draft,
  key: string,
  change: ValueChange,
  base: Base,
): StoredValue | undefined {
  const stored = base.data[key];
  const pending = draft.values.pending(key);
  const next = change(viewed(pending === undefined ? stored : pending.value));
  if (next === undefined) return undefined;
  const others = dataSize(base.data) -
    (stored === undefined ? 0 : entrySize(key, stored));
  return takeIn(key, next, draft.host.settings.maxSize - others).value;
}

function asChange(
  key: string,
  value: StoredValue | undefined,
): { readonly set: StoredData } | { readonly delete: readonly string[] } {
  if (value === undefined) return { delete: [key] };
  const set = emptyObject();
  put(set, key, value);
  return { set: Object.freeze(set) };
}

function gone(draft: Draft, key: string): SessionError {
  notify(draft.host.settings.onEvent, { type: "gone", id: draft.id });
  return new SessionError(
    "gone",
    `Cannot update ${
      quote(key)
    }: the session has ended, or its token was replaced`,
  );
}
