/** What `deno task bench` measures, in the order of the page. */
import { memoryCases } from "./_cases/memory.ts";
import { smallCases } from "./_cases/small.ts";
import { measureCases, type Section } from "./_harness/section.ts";
import { http } from "./_http/http.ts";
import { encryption, million, providers } from "./_stores/providers.ts";
import { scale } from "./_stores/scale.ts";
import { stores } from "./compare/stores.ts";
import { tails } from "./compare/tails.ts";

/** All of them. */
export const SECTIONS: readonly Section[] = [
  {
    name: "memory",
    about: "every call of the memory provider beside a Map",
    sizes: [1e3, 1e5, 1e6],
    measure: (job, report) => measureCases(memoryCases(job.size), job, report),
    minutes: 6,
    memory: 4,
  },
  {
    name: "small",
    about: "whole requests, and their cookies, tokens and values",
    measure: async (job, report) =>
      measureCases(await smallCases(), job, report),
    minutes: 1,
    memory: 1,
  },
  stores,
  tails,
  http,
  providers,
  million,
  encryption,
  scale,
];
