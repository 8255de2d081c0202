/** Which servers there are and which keys each has, to see whether that changed. */
import { digest } from "../../core/secret/token.ts";
import { type Send, textOf } from "./reply.ts";

/** A server that cannot tell, or must not. */
const UNKNOWN = "unknown";

/** Said of a cluster that is changing at this moment. */
export const UNSETTLED = "";

/** A line of `CLUSTER NODES` about a master that has slots. */
interface Master {
  readonly id: string;
  readonly epoch: string;
  readonly slots: readonly string[];
  /** Whether the server that answered is the one. */
  readonly isSelf: boolean;
}

/**
 * A short text that is the same as long as one server goes on with the same keys.
 * One that was started anew has them in another order, and one that has become a
 * replica has those of its master.
 *
 * @returns {@linkcode UNSETTLED} while it takes over the keys of a master.
 */
export async function serverMark(send: Send): Promise<string> {
  const info = await answerTo(() => send("INFO", []));
  if (/^master_sync_in_progress:1/m.test(info)) return UNSETTLED;
  const mark = ["run_id", "role", "master_replid"].map((name) =>
    new RegExp(`^${name}:(\\w+)`, "m").exec(info)?.[1] ?? UNKNOWN
  );
  return mark.join(":");
}

/**
 * A short text that is the same as long as no key of a cluster changes hands.
 *
 * @param senders To every master that the client knows.
 * @returns {@linkcode UNSETTLED} while keys move, or if the client does not know
 * all masters.
 */
export async function clusterMark(senders: readonly Send[]): Promise<string> {
  const views = await Promise.all(
    senders.map((send) => answerTo(() => send("CLUSTER", ["NODES"]))),
  );
  if (views.includes(UNKNOWN)) return UNKNOWN;
  const masters = views.flatMap(mastersOf);
  const asked = new Set(
    masters.filter(({ isSelf }) => isSelf).map(({ id }) => id),
  );
  const marks = await Promise.all(senders.map(serverMark));
  const isSettled = !marks.includes(UNSETTLED) &&
    masters.every(({ id, slots }) =>
      asked.has(id) && !slots.some((slot) => slot.startsWith("["))
    );
  if (!isSettled) return UNSETTLED;
  const lines = masters.map(({ id, epoch, slots }) => [id, epoch, ...slots]);
  return digest([...lines.map(String), ...marks].sort().join("\n"));
}

function mastersOf(view: string): Master[] {
  return view.split("\n").map((line) => line.trim().split(" "))
    .filter((words) => words[2]?.includes("master") && words.length > 8)
    .map(([id = "", , flags = "", , , , epoch = "", , ...slots]) => (
      { id, epoch, slots, isSelf: flags.includes("myself") }
    ));
}

async function answerTo(ask: () => Promise<unknown>): Promise<string> {
  try {
    return textOf(await ask()) ?? UNKNOWN;
  } catch (error) {
    const isRefused = error instanceof Error &&
      /NOPERM|unknown command|not allowed|cluster support disabled/i
        .test(error.message);
    if (isRefused) return UNKNOWN;
    throw error;
  }
}
