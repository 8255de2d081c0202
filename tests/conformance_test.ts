/** Tests that the suite passes what keeps the contract, and nothing else. */
import { assert, assertEquals } from "@std/assert";
import { describe, it } from "node:test";
import { conformance, type MakeProvider } from "../providers/conformance.ts";
import { MemoryProvider } from "../providers/memory.ts";
import type { Faults } from "./_faulty.ts";
import { ENDS, GUARDS, LISTS, MANY } from "./_faulty_ends.ts";
import { CHANGES, LIVES, TIMES } from "./_faulty_writes.ts";
import { ModelProvider } from "./_model_provider.ts";
import { later } from "./_providers.ts";

const FAULTS: Faults = {
  ...LIVES,
  ...CHANGES,
  ...TIMES,
  ...GUARDS,
  ...ENDS,
  ...MANY,
  ...LISTS,
};

describe("conformance of the model", () => {
  for (const { name, run } of conformance(() => new ModelProvider())) {
    it(name, run);
  }
});

describe("conformance of the memory provider", () => {
  for (const { name, run } of conformance(() => new MemoryProvider())) {
    it(name, run);
  }
});

describe("conformance of a provider that answers later", () => {
  for (const { name, run } of conformance(() => later(new MemoryProvider()))) {
    it(name, run);
  }
});

describe("conformance of a provider without destroyMany", () => {
  const makeProvider = () =>
    Object.assign(new ModelProvider(), { destroyMany: undefined });
  for (const { name, run } of conformance(makeProvider as never)) {
    if (name.includes("destroyMany")) it(name, run);
  }
});

describe("conformance of a provider with a fault", () => {
  for (const [fault, [promise, makeProvider]] of Object.entries(FAULTS)) {
    it(`is refused to a provider that ${fault}`, async () => {
      const names = (await failures(makeProvider)).join("\n");
      assert(names.includes(promise), `failed only: ${names}`);
    });
  }

  it("says which promise is broken and how", async () => {
    const [, makeProvider] = FAULTS["moves no deadline on touch"]!;
    const check = conformance(makeProvider).find(({ name }) =>
      name.startsWith("a session that is touched outlives")
    )!;
    const message = await check.run().then(() => "", (error) => error.message);
    assertEquals(message, "read() lost a live session");
  });
});

async function failures(makeProvider: MakeProvider): Promise<string[]> {
  const failed: string[] = [];
  for (const { name, run } of conformance(makeProvider)) {
    await run().catch(() => failed.push(name));
  }
  return failed;
}
