/** Changes one key of a stored session in one atomic step. */
import { SessionError } from "../errors.ts";
import type { Provider, SessionChange } from "../provider.ts";
import { isPromise } from "../store/gateway.ts";
import { quote, takeIn } from "../value/intake.ts";
import { dataSize, entrySize } from "../value/size.ts";
import { emptyObject, put, type StoredValue, viewed } from "../value/types.ts";
import type { Pending } from "./change_set.ts";
import { type Base, baseAfter, type Draft } from "./draft.ts";

/** What the change of `session.update` returns to remove the key. */
export const REMOVED: unique symbol = Symbol("removed");

/** Works out the new value of a key. */
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
  if (!draft.isStored || isHandedOver(draft)) {
    return updateUnstored(draft, key, change);
  }
  const { gateway, settings, tell } = draft.context;
  const turn = await Turn.begin(draft);
  try {
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
      if (draft.isEnding) draft.checkChangeable("update", key);
      const base = turn.base ?? draft.base ?? await readBase(draft, key);
      const pending = draft.values.pending(key);
      const next = nextValue(draft, key, change, base, pending);
      const now = settings.now();
      const guard = { family: draft.family, version: base.version };
      const written = asChange(draft, key, next);
      const updated = gateway.update(draft.key, written, guard, now);
      const result = isPromise(updated) ? await updated : updated;
      if (result === "done") {
        turn.base = baseAfter(base, key, next);
        draft.updated(turn.base, now);
        // What the handler did meanwhile came later, and stays.
        if (!isOtherUser(draft)) draft.values.settle(key, next, pending);
        return viewed(next);
      }
      if (result === "gone") throw gone(draft, key);
      turn.base = undefined;
      draft.outdated();
      tell({ type: "conflict", id: draft.id });
    }
  } finally {
    turn.end();
  }
  throw new SessionError(
    "conflict",
    `Cannot update ${
      quote(key)
    }: other requests changed the session first, ${MAX_ATTEMPTS} times in a row`,
    { id: draft.id },
  );
}

/** Whether another user signs in, whose data goes into another session. */
function isHandedOver(draft: Draft): boolean {
  return !draft.isCommitted && isOtherUser(draft);
}

/** Whether the stored session is of another user than the one who signs in. */
function isOtherUser({ record, intent: { signIn } }: Draft): boolean {
  return signIn !== undefined && record?.principal !== undefined &&
    record.principal !== signIn.principal;
}

/** Nobody else knows a session that is not stored, so nobody else writes. */
function updateUnstored(
  draft: Draft,
  key: string,
  change: ValueChange,
): StoredValue | undefined {
  if (draft.isCommitted) throw gone(draft, key);
  const next = change(viewed(draft.read(key)));
  if (next === REMOVED) draft.remove(key);
  else draft.write(key, checkResult(key, next));
  return viewed(draft.read(key));
}

async function readBase(draft: Draft, key: string): Promise<Base> {
  const { gateway, settings } = draft.context;
  const record = await gateway.read(draft.key, settings.now());
  if (record?.family !== draft.family) throw gone(draft, key);
  draft.reread(record);
  return record;
}

function nextValue(
  draft: Draft,
  key: string,
  change: ValueChange,
  base: Base,
  pending: Pending | undefined,
): StoredValue | undefined {
  const stored = base.data[key];
  const present = pending === undefined ? stored : pending.value;
  const next = change(viewed(draft.fitting(key, present)));
  if (next === REMOVED) return undefined;
  const others = dataSize(base.data) -
    (stored === undefined ? 0 : entrySize(key, stored));
  const { maxSize, schemas } = draft.context.settings;
  const result = checkResult(key, next);
  schemas?.check(key, result);
  return takeIn(key, result, maxSize - others).value;
}

/** A change that forgot to return must not remove anything. */
function checkResult(key: string, next: unknown): unknown {
  if (next === undefined) {
    throw new TypeError(
      `Cannot update ${
        quote(key)
      }: change returned nothing: return the new value, or REMOVED to remove the key`,
    );
  }
  if (typeof (next as Promise<unknown> | null)?.then !== "function") {
    return next;
  }
  Promise.resolve(next).catch(() => {});
  throw new TypeError(
    `Cannot update ${
      quote(key)
    }: change must be synchronous: await what it needs before`,
  );
}

function asChange(
  draft: Draft,
  key: string,
  value: StoredValue | undefined,
): SessionChange {
  const change = emptyObject() as Record<string, unknown>;
  if (value === undefined) change["delete"] = [key];
  else {
    const set = emptyObject();
    put(set, key, value);
    change["set"] = Object.freeze(set);
  }
  if (!draft.isUse) change["isUse"] = false;
  return change;
}

function gone(draft: Draft, key: string): SessionError {
  draft.context.tell({ type: "gone", id: draft.id });
  return new SessionError(
    "gone",
    `Cannot update ${quote(key)}: the session has ended, or somebody signed in`,
    { id: draft.id },
  );
}

/** Who updates which session, of all managers of a provider in this process. */
const turns = new WeakMap<Provider, Map<string, Turn>>();

/**
 * Updates of one session in one process take turns: a hundred at once cost a
 * hundred writes, where each that met another would have to read and write
 * again. Whoever comes next goes on from what the one before has written.
 */
class Turn {
  /** The data as the store has it, after this turn. */
  base: Base | undefined;
  readonly #family: string;
  readonly #isOver: Promise<void>;
  readonly #end: () => void;

  private constructor(family: string, end: (turn: Turn) => void) {
    this.#family = family;
    let over = () => {};
    this.#isOver = new Promise((resolve) => {
      over = resolve;
    });
    this.#end = () => {
      end(this);
      over();
    };
  }

  static async begin(draft: Draft): Promise<Turn> {
    const { gateway, settings } = draft.context;
    const { key, family } = draft;
    let open = turns.get(gateway.provider);
    if (open === undefined) turns.set(gateway.provider, open = new Map());
    const queue = open;
    const before = queue.get(key);
    const turn = new Turn(family, (ended) => {
      if (queue.get(key) === ended) queue.delete(key);
    });
    queue.set(key, turn);
    // A store that does not answer one holds up the others no longer than that.
    if (before === undefined) return turn;
    await within(settings.timeout, before.#isOver);
    if (before.#family === family) turn.base = before.base;
    return turn;
  }

  end(): void {
    this.#end();
  }
}

/** Waits for something, and for so many seconds at most. */
async function within(seconds: number, work: Promise<void>): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const timeout = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, seconds * 1000);
  });
  await Promise.race([work, timeout]);
  clearTimeout(timer);
}
