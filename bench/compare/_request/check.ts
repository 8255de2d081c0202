import { Client } from "./client.ts";
import { type Action, NOBODY, type Setup } from "./contract.ts";

/** Where a forged cookie differs, as a share of its length. */
const FORGED = [0.05, 0.3, 0.5, 0.7, 0.9];

/**
 * Puts a set-up through what the figures take for granted.
 *
 * @returns What it does that a reader of the figures should know.
 * @throws {Error} If one of its answers is wrong.
 */
export async function check(setup: Setup): Promise<readonly string[]> {
  const notes: string[] = [];
  const ask = expecting(setup);

  const stranger = new Client(setup);
  await ask(stranger, "read", NOBODY);
  if (stranger.cookie !== "") {
    notes.push("gives a cookie to a visitor for whom nothing was stored");
  }

  const [ada, bob] = [new Client(setup), new Client(setup)];
  await ada.send("signUp", "ada");
  await bob.send("signUp", "bob");
  await ask(ada, "read", "ada");
  await ask(bob, "read", "bob");
  await ask(ada, "write", "ada");
  await ask(ada, "write", "ada");
  await ask(ada, "visits", "2");
  await ask(bob, "visits", "0");
  await ask(new Client(setup), "read", NOBODY);

  for (const note of await forge(setup)) notes.push(note);
  await ask(ada, "read", "ada");
  return notes;
}

/** Tries cookies that differ in one place from one that was given out. */
async function forge(setup: Setup): Promise<ReadonlySet<string>> {
  const notes = new Set<string>();
  // Some libraries write every one of them to the console.
  const { error } = console;
  console.error = () => notes.add("writes to the console for a forged cookie");
  for (const share of FORGED) {
    const eve = new Client(setup);
    await eve.send("signUp", "eve");
    const forger = eve.copy();
    forger.forge((value) => changedAt(value, Math.floor(value.length * share)));
    const { status, body } = await forger.send("read");
    if (body === "eve") throw wrong(setup, "opens to a forged cookie");
    if (status !== 200) notes.add(`answers ${status} to a forged cookie`);
    if ((await eve.send("read")).body !== "eve") {
      notes.add("ends a session when a forged copy of its cookie is used");
    }
  }
  console.error = error;
  return notes;
}

type Ask = (client: Client, action: Action, body: string) => Promise<void>;

function expecting(setup: Setup): Ask {
  return async (client, action, expected) => {
    const { status, body } = await client.send(action);
    if (status === 200 && body === expected) return;
    throw wrong(setup, `answers ${status} ${body} instead of ${expected}`);
  };
}

function wrong(setup: Setup, what: string): Error {
  return new Error(`Cannot measure ${setup.name}: it ${what}`);
}

/** The same text but for one letter or digit, at `at` or soon after. */
function changedAt(text: string, at: number): string {
  const rest = text.slice(at);
  return text.slice(0, at) +
    rest.replace(/[a-z0-9]/i, (found) => found === "x" ? "y" : "x");
}
