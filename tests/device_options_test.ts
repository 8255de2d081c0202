import { assertEquals, assertThrows } from "@std/assert";
import { describe, it } from "node:test";
import { Manager, type ManagerOptions } from "../mod.ts";

async function accepts(options: ManagerOptions): Promise<void> {
  await new Manager({ gcInterval: 0, ...options }).close();
}

function refusalOf(options: ManagerOptions): string {
  const error = assertThrows(() => new Manager(options), Error) as Error;
  return `${error.name}: ${error.message}`;
}

describe("the option deviceBound", () => {
  it("needs nothing in it", async () => {
    await accepts({ deviceBound: {} });
    await accepts({ deviceBound: undefined });
  });

  it("has a mode, a path and an interval, and nothing else", async () => {
    for (const mode of ["prefer", "require", "keep"] as const) {
      await accepts({ deviceBound: { mode } });
    }
    await accepts({ deviceBound: { path: "/auth/device.bound~1_-" } });
    await accepts({ deviceBound: { interval: 120 } });
    await accepts({ deviceBound: { interval: 34_560_000 } });
    const wrong = { always: true } as object;
    assertEquals(
      refusalOf({ deviceBound: wrong }),
      "TypeError: Cannot create Manager: deviceBound: unknown option: received always",
    );
    for (const deviceBound of [true, null, "prefer"]) {
      const given = { deviceBound } as unknown as ManagerOptions;
      assertThrows(() => new Manager(given), TypeError, "must be an object");
    }
  });

  it("has no mode of another name", () => {
    const mode = "always" as "prefer";
    assertEquals(
      refusalOf({ deviceBound: { mode } }),
      'TypeError: Cannot create Manager: deviceBound.mode must be "prefer" or "require" or "keep": received always',
    );
  });

  it("has a path that browsers leave as it is", () => {
    const paths = ["", "device", "/a b", "/a?b", "/a#b", '/"', "/é", "/%41"];
    for (const path of [...paths, "/a/../b", "/./a", "//host", 7 as never]) {
      const options = { deviceBound: { path } };
      assertThrows(() => new Manager(options), TypeError, "deviceBound: path");
    }
  });

  it("has an interval of two minutes to 400 days", () => {
    for (const interval of [119.999, 0, -1, NaN, Infinity, 34_560_001]) {
      const options = { deviceBound: { interval } };
      assertThrows(() => new Manager(options), RangeError, "interval");
    }
    const interval = "600" as unknown as number;
    assertThrows(() => new Manager({ deviceBound: { interval } }), TypeError);
  });

  it("takes a cookie of this host alone, which is not partitioned", async () => {
    await accepts({ deviceBound: {}, cookie: { name: "__Host-Http-sid" } });
    const cookies = [
      { name: "sid" },
      { name: "__Secure-sid" },
      { domain: "example.org" },
      { path: "/app" },
      { secure: false },
      { partitioned: true },
    ];
    for (const cookie of cookies) {
      assertThrows(
        () => new Manager({ deviceBound: {}, cookie }),
        TypeError,
        "Cannot use option deviceBound: it takes a cookie whose name starts with __Host-",
      );
      await accepts({ cookie });
    }
  });

  it("takes no such cookie for one of several hosts either", async () => {
    await using manager = new Manager({
      deviceBound: {},
      gcInterval: 0,
      cookie: ({ url }) => url.includes("shop") ? {} : { partitioned: true },
    });
    await manager.start(new Request("https://shop.example/"));
    assertThrows(
      () => manager.start(new Request("https://other.example/")),
      TypeError,
      "Cannot use option deviceBound",
    );
  });
});
