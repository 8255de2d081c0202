import { assertEquals, assertMatch } from "@std/assert";
import { describe, it } from "node:test";
import { KEPT_LENGTH, WriteIds } from "../core/store/write_ids.ts";

describe("WriteIds", () => {
  const writers = [new WriteIds(), new WriteIds()];
  const ids = writers.flatMap((writer) =>
    Array.from({ length: 2000 }, () => writer.next())
  );

  it("gives no two writes one id", () => {
    assertEquals(new Set(ids).size, ids.length);
  });

  it("begins each id with what is nowhere else in one", () => {
    for (const id of ids) assertMatch(id, /^\.[\w-]{15}$/);
  });

  it("has four of them kept", () => {
    assertEquals(KEPT_LENGTH, ids.slice(0, 4).join("").length);
  });
});
