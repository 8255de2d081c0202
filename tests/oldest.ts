/**
 * Puts the memory provider through the conformance suite with nothing but the
 * runtime: for versions that are too old for the tools of the tests.
 *
 * @module
 */
import process from "node:process";
import { conformance } from "../providers/conformance.ts";
import { MemoryProvider } from "../providers/memory.ts";

let [passed, failed] = [0, 0];
for (const check of conformance(() => new MemoryProvider())) {
  try {
    await check.run();
    passed++;
  } catch (error) {
    failed++;
    console.error(`${check.name}: ${error}`);
  }
}
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed === 0 && passed > 0 ? 0 : 1);
