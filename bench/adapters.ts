/**
 * Measures what an adapter costs over `manager.handle`: the requests of
 * `compare/request.ts` through frameworks, beside the session libraries that these
 * frameworks have. Prints Markdown tables.
 *
 * ```sh
 * deno run -A bench/adapters.ts [--tiny] [--rounds N] [set-up …]
 * bun bench/adapters.ts …
 * ```
 *
 * A set-up is a file of `compare/_request/`, such as `cloakroom_hono`.
 *
 * @module
 */
import process from "node:process";
import { RUNTIME } from "./compare/_child.ts";
import { chosen, readOptions } from "./compare/_options.ts";
import { Rounds } from "./compare/_request/rounds.ts";
import { median, rounded, table } from "./compare/_table.ts";

/** What is measured, and what with a session by `handle` each is compared to. */
const BASES: Readonly<Record<string, string | undefined>> = {
  cloakroom_handle: undefined,
  handle_hono: undefined,
  cloakroom_hono: "handle_hono",
  handle_hono_chain: "handle_hono",
  hono_sessions: "handle_hono",
  hono_sessions_plain: "handle_hono",
  handle_elysia: undefined,
  cloakroom_elysia: "handle_elysia",
  cloakroom_express: "cloakroom_handle",
  express_session: "cloakroom_handle",
};

const SCENARIOS = ["none", "read", "write"];

const { tiny, rounds, names } = readOptions(process.argv.slice(2));
const size = tiny ? 100 : 1000;
const measured = new Rounds(chosen(Object.keys(BASES), names), {
  sizes: [size],
  rounds,
  milliseconds: tiny ? 20 : 400,
});
await measured.run();
console.log(
  `${RUNTIME}, ${size} sessions, medians of ${rounds} rounds: µs of processor ` +
    "time for each request, on top of the same framework's handler without a " +
    "session, and in brackets how many more than with `handle` in the same " +
    "round: around the same framework, or for Express around a function.\n",
);
const rows = measured.present.map((file) => [
  measured.of(file, size)[0]?.name ?? file,
  ...SCENARIOS.map((scenario) => cell(file, scenario)),
  rounded(median(
    measured.of(file, size).map(({ costs }) => costs.read?.bare ?? NaN),
  )),
]);
console.log(table(["", "no cookie", "read", "write", "bare handler"], rows));
measured.printNotes();
process.exit(measured.failures === 0 ? 0 : 1);

function cell(file: string, scenario: string): string {
  const costs = measured.onTop(file, size, scenario);
  const text = rounded(median(costs));
  const handle = BASES[file];
  if (handle === undefined) return text;
  const base = measured.onTop(handle, size, scenario);
  const more = median(costs.map((cost, round) => cost - (base[round] ?? NaN)));
  return `${text} (${more < 0 ? "" : "+"}${rounded(more)})`;
}
