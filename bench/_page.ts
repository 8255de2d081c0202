import { cpus, totalmem } from "node:os";
import type { Runtime } from "./_runtimes.ts";

/**
 * Puts results into a page, between the markers of their section.
 *
 * @throws {Error} If the page has no such markers.
 */
export function withResults(
  page: string,
  section: string,
  results: string,
): string {
  const start = `<!-- results of ${section} -->`;
  const end = `<!-- end of ${section} -->`;
  const from = page.indexOf(start);
  const to = page.indexOf(end, from);
  if (from === -1 || to === -1) {
    throw new Error(`Cannot write results: the page has no "${start}"`);
  }
  return `${page.slice(0, from + start.length)}\n\n${results}\n\n${
    page.slice(to)
  }`;
}

/** On what the results were measured, and when. */
export function circumstances(
  runtimes: readonly Runtime[],
  rounds: number,
): string {
  const versions = runtimes.map(({ version }) => version).join(" and ");
  const gigabytes = Math.round(totalmem() / 2 ** 30);
  const date = new Date().toISOString().slice(0, 10);
  return `${versions} on ${cpus()[0]?.model.trim()}, ${cpus().length} cores, ` +
    `${gigabytes} GB of memory, ${Deno.build.os}; ${date}, ` +
    `${rounds} round${rounds === 1 ? "" : "s"}`;
}
