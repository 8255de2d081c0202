/** Tests of the ids by which a store knows a write again. */
import { assertEquals, assertMatch, assertNotEquals } from "@std/assert";
import { describe, it } from "node:test";
import { KEPT_LENGTH, mintWriteId } from "../core/store/write_ids.ts";

describe("mintWriteId", () => {
  const ids = Array.from({ length: 4000 }, mintWriteId);

  it("gives no two writes one id", () => {
    assertEquals(new Set(ids).size, ids.length);
  });

  it("begins each id with what is nowhere else in one", () => {
    for (const id of ids) assertMatch(id, /^\.[\w-]{9}$/);
  });

  it("has sixteen of them kept", () => {
    assertEquals(KEPT_LENGTH, ids.slice(0, 16).join("").length);
  });

  it("lets ids that stand in a row be told apart", () => {
    const row = ids.slice(0, 16);
    assertEquals(
      row.join("").split(".").slice(1),
      row.map((id) => id.slice(1)),
    );
  });

  it("keeps nothing between two ids that a snapshot could repeat", () => {
    const spots = Array.from({ length: 9 }, (_, index) => index + 1);
    const lasting = spots.filter((index) =>
      new Set(ids.map((id) => id[index])).size < 60
    );
    assertEquals(lasting, []);
  });

  it("takes all of an id from the generator each time", () => {
    const { getRandomValues } = crypto;
    const make = (fill: number) => {
      crypto.getRandomValues = (array) => {
        new Uint8Array(array!.buffer).fill(fill);
        return array;
      };
      return mintWriteId();
    };
    try {
      assertEquals(make(1), make(1));
      assertNotEquals(make(1), make(2));
    } finally {
      crypto.getRandomValues = getRandomValues;
    }
  });
});
