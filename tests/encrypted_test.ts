/** Tests what encryption keeps, notices and hides, on a store at hand. */
import {
  assert,
  assertEquals,
  assertFalse,
  assertNotEquals,
  assertRejects,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import fc from "fast-check";
import { Buffer } from "node:buffer";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { inspect } from "node:util";
import type {
  Guard,
  NewSessionRecord,
  Patience,
  Provider,
  SessionRecord,
} from "../core/provider.ts";
import { copy } from "../core/store/copy.ts";
import type { StoredData, StoredValue } from "../core/value/types.ts";
import { SessionError } from "../mod.ts";
import {
  encrypted,
  type EncryptedOptions,
  generateKey,
  type Hidden,
} from "../providers/encrypted.ts";
import { derive, seal, unseal } from "../providers/encrypted/cipher.ts";
import { MemoryProvider } from "../providers/memory.ts";
import { storedData } from "./_arbitraries.ts";
import { Browser, Site } from "./_browser.ts";
import { makePatience } from "./_patience.ts";
import { ModelProvider } from "./_model_provider.ts";
import { around, replaceCall } from "./_providers.ts";
import { makeData, makeFamily, makeId, makeRecord, START } from "./_records.ts";

const ALL: readonly Hidden[] = ["principal", "label", "key-names"];
const A = makeId(1);
const B = makeId(2);
const GUARD: Guard = { family: makeFamily("secret") };
const KEY = generateKey();
const OLD = generateKey();
const NEW = generateKey();

describe("AES-256-GCM", () => {
  for (const [index, vector] of vectors("encrypt").entries()) {
    it(`encrypts as NIST says: ${index + 1}`, () => {
      const { key, context, sealed, plain } = vector;
      const nonce = sealed.subarray(0, 12);
      assert(plain !== undefined);
      assertEquals(hex(seal(plain, { key, context, nonce })), hex(sealed));
    });
  }

  for (const [index, vector] of vectors("decrypt").entries()) {
    const { key, context, sealed, plain } = vector;
    const does = plain === undefined ? "refuses" : "decrypts";
    it(`${does} as NIST says: ${index + 1}`, () => {
      const opened = unseal(sealed, { key, context });
      assertEquals(opened && hex(opened), plain && hex(plain));
    });
  }

  it("takes another nonce for each value", () => {
    const key = new Uint8Array(32);
    const context = new Uint8Array();
    const nonces = Array.from(
      { length: 1000 },
      () => hex(seal(new Uint8Array(), { key, context }).subarray(0, 12)),
    );
    assertEquals(new Set(nonces).size, nonces.length);
  });

  it("makes keys from a key as RFC 5869 says, in its test case 1", () => {
    const made = derive(
      unhex("077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5"),
      unhex("f0f1f2f3f4f5f6f7f8f9"),
    );
    assertEquals(
      hex(made),
      "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf",
    );
  });
});

describe("an encrypted session", () => {
  it("comes back as any data was written", async () => {
    for (const hide of [[], ALL]) {
      await fc.assert(
        fc.asyncProperty(storedData, storedData, async (first, second) => {
          const { provider } = setUp({ hide });
          const plain = new MemoryProvider();
          for (const one of [provider, plain]) {
            await one.create(A, makeRecord({ data: first }), START);
            const change = { set: second, delete: without(first, second) };
            await one.update(A, change, GUARD, START);
          }
          assertEquals(await live(provider), await live(plain));
        }),
        { numRuns: 100 },
      );
    }
  });

  it("answers at once where its store does", () => {
    const { provider } = setUp({ hide: ALL });
    assertStrictEquals(provider.create(A, ADA, START), true);
    assertStrictEquals(provider.update(A, {}, GUARD, START), "done");
    assertEquals((provider.read(A, START) as SessionRecord).principal, "ada");
    assertStrictEquals(provider.destroyAll("ada"), 1);
  });

  it("may have keys that look like the ones that are added", async () => {
    for (const hide of [[], ALL]) {
      const { provider } = setUp({ hide });
      const data = makeData([
        ["*", 1],
        ["*principal", 2],
        ["**principal", 3],
      ]);
      await provider.create(A, { ...ADA, data }, START);
      assertEquals(entries(await live(provider)), entries({ data }));
      const change = { delete: ["*principal"], set: makeData([["**", 4]]) };
      await provider.update(A, change, GUARD, START);
      const { data: left, principal } = await live(provider);
      assertEquals(Object.keys(left).sort(), ["*", "**", "**principal"]);
      assertEquals(principal, "ada");
    }
  });

  it("is as large as what the handler stored", async () => {
    const text = "x".repeat(980);
    for (const provider of [new MemoryProvider(), setUp({}).provider]) {
      const site = new Site({ provider, maxSize: 1000 });
      const browser = new Browser(site);
      await browser.visit((session) => session.set("text", text));
      assertEquals(await browser.look((s) => s.get("text")), text);
      await assertRejects(
        () => browser.visit((session) => session.set("more", text)),
        SessionError,
        "size limit",
      );
      await site.manager.close();
    }
  });

  it("is another text each time", async () => {
    const { provider, store } = setUp({});
    await provider.create(A, ADA, START);
    const { data: before } = await live(store);
    await provider.update(A, { set: ADA.data }, GUARD, START);
    const { data: after } = await live(store);
    for (const name of Object.keys(ADA.data)) {
      assertNotEquals(before[name], after[name]);
    }
  });
});

describe("a copy of encrypted sessions", () => {
  it("needs no key, and is opened with the same one", async () => {
    const { provider, store } = setUp({ hide: ALL });
    await provider.create(A, ADA, START);
    const other = new MemoryProvider();
    const { copied } = await copy(store, other, { now: () => START });
    assertEquals(copied, 1);
    const opened = encrypted(other, { keys: [KEY], hide: ALL });
    assertEquals(await live(opened), await live(provider));
  });

  it("encrypts what was not encrypted", async () => {
    const store = new MemoryProvider();
    store.create(A, ADA, START);
    const { provider, store: other } = setUp({ hide: ALL });
    await copy(store, provider, { now: () => START });
    assertEquals(await live(provider), await live(store));
    assertNotEquals((await live(other)).principal, "ada");
  });
});

describe("what is hidden", () => {
  it("is a principal, whose digest is the same in all sessions", async () => {
    const { provider, store } = setUp({ hide: ["principal"] });
    await provider.create(A, ADA, START);
    await provider.create(B, ADA, START);
    const [a, b] = [await live(store, A), await live(store, B)];
    assertNotEquals(a.principal, "ada");
    assertEquals(a.principal, b.principal);
    assertNotEquals(a.data["*principal"], b.data["*principal"]);
    assertEquals([a.label, b.label], ["Laptop", "Laptop"]);
  });

  it("is a label, and no two are alike", async () => {
    const { provider, store } = setUp({ hide: ["label"] });
    await provider.create(A, ADA, START);
    await provider.create(B, ADA, START);
    const labels = [(await live(store, A)).label, (await live(store, B)).label];
    assertFalse(labels.includes("Laptop"));
    assertEquals(new Set(labels).size, 2);
    const { sessions } = await provider.list("ada", START);
    assertEquals(sessions.map(({ label }) => label), ["Laptop", "Laptop"]);
  });

  it("is a key's name, another one in each session", async () => {
    const { provider, store } = setUp({ hide: ["key-names"] });
    await provider.create(A, ADA, START);
    await provider.create(B, ADA, START);
    const names = [A, B].map(async (id) =>
      Object.keys((await live(store, id)).data)
    );
    const all = (await Promise.all(names)).flat();
    assertEquals(new Set(all).size, Object.keys(ADA.data).length * 2);
    assertFalse(all.includes("cart"));
  });

  it("is always the fingerprint", async () => {
    const { provider, store } = setUp({});
    await provider.create(A, ADA, START);
    assertNotEquals((await live(store)).fingerprint, "looks");
    assertEquals((await live(provider)).fingerprint, "looks");
  });

  it("is forgotten with what it stands for", async () => {
    const { provider, store } = setUp({ hide: ALL });
    await provider.create(A, ADA, START);
    const change = {
      principal: null,
      label: null,
      fingerprint: null,
      delete: Object.keys(ADA.data),
    };
    assertEquals(await provider.update(A, change, GUARD, START), "done");
    const { data, principal, label, fingerprint } = await live(store);
    assertEquals(Object.keys(data), []);
    assertEquals([principal, label, fingerprint], Array(3).fill(undefined));
  });
});

describe("a value that was tampered with", () => {
  it("is corrupt when any bit of it has changed", async () => {
    const { provider, store } = setUp({});
    const data = makeData([["k", 1]]);
    await provider.create(A, makeRecord({ data }), START);
    const sealed = (await live(store)).data["k"] as string;
    for (let at = 0; at < sealed.length; at++) {
      for (let bit = 0; bit < 6; bit++) {
        await write(store, A, { k: flipped(sealed, at, bit) });
        await assertCorrupt(provider, A);
      }
    }
    await write(store, A, { k: sealed });
    assertEquals((await live(provider)).data["k"], 1);
  });

  it("is corrupt when it was cut off, prolonged or replaced", async () => {
    const { provider, store } = setUp({});
    await provider.create(A, ADA, START);
    const sealed = (await live(store)).data["cart"] as string;
    const others: StoredValue[] = [
      ...Array.from(sealed, (_, length) => sealed.slice(0, length)),
      `${sealed}A`,
      `${sealed}=`,
      `${sealed}\n`,
      ` ${sealed}`,
      1,
      null,
      [sealed],
    ];
    for (const cart of others) {
      await write(store, A, { cart });
      await assertCorrupt(provider, A);
    }
  });

  it("is corrupt in another session, under another key, in another role", async () => {
    for (const hide of [[], ALL]) {
      const { provider, store } = setUp({ hide });
      await provider.create(A, ADA, START);
      const there = entries(await live(store));
      const name = (index: number) => there[index]?.[0] as string;
      const value = (index: number) => there[index]?.[1] as StoredValue;
      const { label = "", fingerprint = "" } = await live(store);
      const changes: object[] = [
        { set: { [name(0)]: value(1) } },
        { set: { [name(0)]: value(1), [name(1)]: value(0) } },
        { set: { other: value(0) } },
        { set: { [name(0)]: fingerprint } },
        { fingerprint: value(0) },
        ...(hide.length === 0 ? [] : [
          { fingerprint: label },
          { label: fingerprint },
          { label: "Laptop" },
          { set: { [name(1)]: label } },
        ]),
      ];
      for (const change of changes) {
        await refill(provider);
        await tamper(store, A, change);
        await assertCorrupt(provider, A);
      }
      await refill(provider);
      const moved = Object.fromEntries(entries(await live(store, B)));
      await tamper(store, A, { set: moved });
      await assertCorrupt(provider, A);
    }
  });

  it("is corrupt when a hidden principal is another's, or none", async () => {
    const { provider, store } = setUp({ hide: ["principal"] });
    const bob = { ...ADA, principal: "bob" };
    const digest = async (id: string) => (await live(store, id)).principal;
    const changes = [
      async () => ({ principal: await digest(B) }),
      async () => ({
        set: { "*principal": (await live(store, B)).data["*principal"] },
      }),
      () => ({ principal: null }),
      () => ({ delete: ["*principal"] }),
      () => ({ principal: "bob" }),
    ];
    for (const change of changes) {
      await provider.clear();
      await provider.create(A, ADA, START);
      await provider.create(B, bob, START);
      await tamper(store, A, await change());
      await assertCorrupt(provider, A);
    }
  });

  it("harms its own session alone, which can be listed and ended", async () => {
    const { provider, store } = setUp({});
    await provider.create(A, ADA, START);
    await provider.create(B, ADA, START);
    await write(store, A, { cart: "not encrypted" });
    await assertCorrupt(provider, A);
    assertEquals((await live(provider, B)).data["cart"], "a coat");
    const list = await provider.list("ada", START);
    assertEquals(list.sessions.map(({ id }) => id).sort(), [A, B]);
    const page = await provider.scan?.(undefined, 10, START);
    assertEquals(page?.sessions.map(({ id }) => id), [B]);
    assertEquals(page?.unreadable, [A]);
    assertEquals(await provider.destroy(A, {}, START), "done");
  });

  it("leaves a list but for a hidden label", async () => {
    const { provider, store } = setUp({ hide: ALL });
    await provider.create(A, ADA, START);
    await provider.create(B, ADA, START);
    const { label = "" } = await live(store, B);
    await tamper(store, A, { label });
    const { sessions, unreadable } = await provider.list("ada", START);
    assertEquals(sessions.map(({ id }) => id), [B]);
    assertEquals(unreadable, [A]);
    assertEquals(await provider.destroyAll("ada"), 2);
  });
});

describe("several keys", () => {
  for (const hide of [[], ALL]) {
    const how = hide.length === 0 ? "in the open" : "hidden";

    it(`all read, and the first one writes, with names ${how}`, async () => {
      const { store, both, onlyNew, onlyOld } = rotating(hide);
      await onlyOld.create(A, ADA, START);
      assertEquals(
        entries(await live(both)),
        entries({ data: ADA.data }),
      );
      await assertCorrupt(onlyNew, A);
      const set = makeData([["cart", "a hat"]]);
      assertEquals(await both.update(A, { set }, GUARD, START), "done");
      assertEquals((await live(both)).data["cart"], "a hat");
      assertEquals(
        Object.keys((await live(store)).data).length,
        Object.keys(ADA.data).length + (hide.length === 0 ? 0 : 1),
      );
      await assertCorrupt(onlyOld, A);
    });

    it(`end a key that any of them wrote, with names ${how}`, async () => {
      const { both, onlyOld } = rotating(hide);
      await onlyOld.create(A, ADA, START);
      const change = { delete: ["cart"] };
      assertEquals(await both.update(A, change, GUARD, START), "done");
      assertEquals(Object.keys((await live(both)).data), ["size"]);
    });

    it(`need only the first after a copy, with names ${how}`, async () => {
      const { both, onlyOld } = rotating(hide);
      await onlyOld.create(A, ADA, START);
      await both.create(B, ADA, START);
      const rotated = encrypted(new MemoryProvider(), { keys: [NEW], hide });
      const { copied, skipped } = await copy(both, rotated, {
        now: () => START,
      });
      assertEquals([copied, skipped], [2, 0]);
      for (const id of [A, B]) {
        assertEquals(await live(rotated, id), await live(both, id));
      }
    });
  }

  it("never read a hidden name twice", async () => {
    const { store, both, onlyOld } = rotating(ALL);
    await onlyOld.create(A, ADA, START);
    const [, [name, sealed] = []] = entries(await live(store));
    assert(name !== undefined && sealed !== undefined);
    assertNotEquals(name, "*principal");
    await both.update(A, { set: ADA.data }, GUARD, START);
    await write(store, A, { [name]: sealed });
    await assertCorrupt(both, A);
  });

  it("list, guard and end the sessions of a hidden principal", async () => {
    const { both, onlyOld } = rotating(ALL);
    const principal = "ada";
    const fill = async () => {
      await both.clear();
      await onlyOld.create(A, ADA, START);
      await both.create(B, ADA, START);
    };
    await fill();
    const { sessions, unreadable } = await both.list(principal, START);
    assertEquals(sessions.map(({ id }) => id).sort(), [A, B]);
    assertEquals(unreadable, []);
    for (const id of [A, B]) {
      const guard = { ...GUARD, principal };
      assertEquals(await both.update(id, {}, guard, START), "done");
      const other = { ...GUARD, principal: "bob" };
      assertEquals(await both.update(id, {}, other, START), "gone");
      assertEquals(await both.destroy(id, other, START), "refused");
      assertEquals(await both.destroy(id, guard, START), "done");
      assertEquals(await both.destroy(id, guard, START), "absent");
    }
    await fill();
    const ended = await both.destroyMany?.([A, B], { principal }, START);
    assertEquals([...ended ?? []].sort(), [A, B]);
    await fill();
    assertEquals(await both.destroyAll(principal, B), 1);
    assertEquals(await both.destroyAll(principal), 1);
  });

  it("miss no session that is signed in again meanwhile", async () => {
    for (const call of ["list", "destroyAll"] as const) {
      const { store, both, onlyOld } = rotating(ALL);
      await onlyOld.create(A, ADA, START);
      const own = store[call].bind(store) as (...args: unknown[]) => unknown;
      let calls = 0;
      replaceCall(store, call, (...args) => {
        // Between the looks with one key and with the other.
        if (++calls === 2) {
          both.update(A, { principal: "ada" }, GUARD, START);
        }
        return own(...args);
      });
      if (call === "list") {
        const { sessions } = await both.list("ada", START);
        assertEquals(sessions.map(({ id }) => id), [A]);
      } else await both.destroyAll("ada");
      assertEquals(calls, 2);
      const left = await both.read(A, START);
      assertEquals(left === undefined, call === "destroyAll");
    }
  });
});

describe("two processes that put the same keys in another order", () => {
  for (const hide of [[], ALL]) {
    const how = hide.length === 0 ? "in the open" : "hidden";

    it(`lose no key and keep none twice, with names ${how}`, async () => {
      const { store, provider: one } = setUp({ keys: [OLD, NEW], hide });
      const other = encrypted(store, { keys: [NEW, OLD], hide });
      const sites = [one, other].map((provider) => new Site({ provider }));
      const [first, second] = sites as [Site, Site];
      const browser = new Browser(first);
      await browser.visit((session) => {
        session.signIn("ada", { label: "Laptop" });
        session.set("count", 0);
      });
      const there = new Browser(second, browser.cookie);
      for (let round = 0; round < 10; round++) {
        // Both have read before either writes.
        await Promise.all(
          [browser, there].map((each) =>
            each.visit(async (session) => {
              await session.update("count", (count) => (count as number) + 1);
              session.set(each === there ? "b" : "a", round);
            })
          ),
        );
      }
      const seen = await Promise.all(
        [browser, there].map((each) =>
          each.look((session) => [
            session.principal,
            ...session.keys().map((key) => [key, session.get(key)]).sort(),
          ])
        ),
      );
      const expected = ["ada", ["a", 9], ["b", 9], ["count", 20]];
      assertEquals(seen, [expected, expected]);
      await there.visit((session) => session.delete("count"));
      assertEquals(await browser.look((s) => s.has("count")), false);
      for (const { manager } of sites) {
        const [{ label } = { label: "none" }] = await manager.list("ada");
        assertEquals(label, "Laptop");
      }
      assertEquals(await second.manager.destroyAll("ada"), 1);
      assertEquals(await browser.look((s) => s.principal), undefined);
    });
  }
});

describe("a store that is opened with the wrong key", () => {
  it("opens no session, and has lost none", async () => {
    const { store, provider } = setUp({ hide: ALL });
    await provider.create(A, ADA, START);
    const wrong = encrypted(store, { keys: [generateKey()], hide: ALL });
    await assertCorrupt(wrong, A);
    const page = await wrong.scan?.(undefined, 10, START);
    assertEquals([page?.sessions, page?.unreadable], [[], [A]]);
    assertEquals((await wrong.list("ada", START)).sessions, []);
    assertEquals((await live(provider)).principal, "ada");
  });

  it("fails requests instead of taking users for visitors", async () => {
    const { store, provider } = setUp({});
    const right = new Site({ provider });
    const browser = new Browser(right);
    await browser.visit((session) => {
      session.signIn("ada");
      session.set("cart", "a coat");
    });
    const wrong = encrypted(store, { keys: [generateKey()] });
    const other = new Browser(new Site({ provider: wrong }), browser.cookie);
    const error = await assertRejects(() => other.look(() => {}), SessionError);
    assertEquals(error.code, "corrupt");
    assertEquals(await browser.look((session) => session.principal), "ada");
  });

  it("is the same with another hide, or without encryption before", async () => {
    for (const before of [[], ALL]) {
      const { store, provider } = setUp({ hide: before });
      await provider.create(A, ADA, START);
      const hide = before.length === 0 ? ALL : [];
      await assertCorrupt(encrypted(store, { keys: [KEY], hide }), A);
    }
    const store = new MemoryProvider();
    store.create(A, ADA, START);
    await assertCorrupt(encrypted(store, { keys: [KEY] }), A);
  });
});

describe("a key", () => {
  const bytes = Buffer.from(KEY, "base64url");
  const algorithm = { name: "AES-GCM" };
  const usages: KeyUsage[] = ["encrypt", "decrypt"];

  it("is text, bytes or a CryptoKey, and the same in each form", async () => {
    const { store, provider } = setUp({});
    await provider.create(A, ADA, START);
    const { subtle } = globalThis.crypto;
    const keys = [
      KEY,
      new Uint8Array(bytes),
      await subtle.importKey("raw", bytes, algorithm, true, usages),
    ];
    for (const key of keys) {
      assertEquals(
        (await live(encrypted(store, { keys: [key] }))).data["cart"],
        "a coat",
      );
    }
  });

  it("is its own copy of the bytes", async () => {
    const given = new Uint8Array(bytes);
    const store = new MemoryProvider();
    const provider = encrypted(store, { keys: [given] });
    await provider.create(A, ADA, START);
    given.fill(0);
    await provider.create(B, ADA, START);
    await live(encrypted(store, { keys: [KEY] }), B);
  });

  it("of another form is refused without a word about it", async () => {
    const { subtle } = globalThis.crypto;
    const hidden = await subtle.importKey(
      "raw",
      bytes,
      algorithm,
      false,
      usages,
    );
    const { publicKey } = await subtle.generateKey(
      { name: "ECDSA", namedCurve: "P-256" },
      true,
      ["sign", "verify"],
    ) as CryptoKeyPair;
    const refusals: [unknown, string][] = [
      ["", "keys[0] must be 32 bytes: received 0 bytes"],
      [
        KEY.slice(0, 42) + "=",
        "base64url without padding: received other text of 43",
      ],
      [
        `${KEY}=`,
        "base64url without padding: received other text of 44 characters",
      ],
      [
        `${KEY}\n`,
        "base64url without padding: received other text of 44 characters",
      ],
      [bytes.toString("hex"), "keys[0] must be 32 bytes: received 48 bytes"],
      [
        bytes.toString("base64url", 0, 16),
        "keys[0] must be 32 bytes: received 16 bytes",
      ],
      [new Uint8Array(16), "keys[0] must be 32 bytes: received 16 bytes"],
      [hidden, "must be extractable: received a CryptoKey that is not"],
      [publicKey, "or a secret CryptoKey: received public"],
      [
        { type: "secret", extractable: true, algorithm, usages },
        "keys[0] cannot be exported here at once: received a CryptoKey",
      ],
      [null, "or a secret CryptoKey: received null"],
      [undefined, "or a secret CryptoKey: received undefined"],
      [{}, "or a secret CryptoKey: received object"],
    ];
    for (const [key, message] of refusals) {
      const error = assertThrows(
        () => setUp({ keys: [key as string] }),
        TypeError,
        message,
      );
      assertFalse(error.message.includes(KEY.slice(0, 20)));
    }
  });

  it("is never printed", () => {
    const { provider } = setUp({ hide: ALL });
    provider.create(A, ADA, START);
    const printed = [
      inspect(provider, { depth: 10, showHidden: true, getters: true }),
      JSON.stringify(provider),
      String(provider),
      print(provider),
    ].join();
    for (const form of [KEY, hex(bytes), [...bytes].join(", ")]) {
      assertFalse(printed.includes(form.slice(0, 20)), printed);
    }
    assertFalse(printed.includes("KeyObject"), printed);
  });

  it("is made of 32 random bytes", () => {
    const keys = new Set(Array.from({ length: 100 }, generateKey));
    assertEquals(keys.size, 100);
    for (const key of keys) setUp({ keys: [key] });
  });
});

describe("the options of encryption", () => {
  it("are refused where they make no sense", () => {
    const refusals: [unknown, string][] = [
      [undefined, "options must be an object: received undefined"],
      [{}, "keys must be an array: received undefined"],
      [{ keys: KEY }, "keys must be an array: received string"],
      [{ keys: [] }, "keys must have at least one key: received none"],
      [{ keys: [KEY, KEY] }, "keys must differ: received one of them twice"],
      [
        { keys: [KEY], hide: ["name"] },
        "hide knows principal, label, key-names: received name",
      ],
      [
        { keys: [KEY], hide: "label" },
        "hide must be an array: received string",
      ],
      [{ keys: [KEY], key: KEY }, "unknown option: received key"],
      [
        Object.create({ keys: [KEY] }),
        "keys must be an array: received undefined",
      ],
    ];
    for (const [options, message] of refusals) {
      assertThrows(
        () => encrypted(new MemoryProvider(), options as EncryptedOptions),
        TypeError,
        message,
      );
    }
    assertThrows(
      () => encrypted("memory" as never, { keys: [KEY] }),
      TypeError,
      "the first argument must be a provider: received string",
    );
  });
});

describe("the calls of an encrypted provider", () => {
  const OPTIONAL = [
    "destroyMany",
    "scan",
    "observe",
    "serverTime",
    "reconnect",
  ] as const;

  it("are those that its store has, and no others", () => {
    for (const name of OPTIONAL) {
      const store = new ModelProvider();
      replaceCall(store, name, () => []);
      for (const other of OPTIONAL) {
        if (other !== name) Object.assign(store, { [other]: undefined });
      }
      const provider = encrypted(store, { keys: [KEY] });
      assertEquals(
        OPTIONAL.filter((call) => provider[call] !== undefined),
        [name],
      );
    }
  });

  it("reach the store with all that was given, patience included", async () => {
    const calls = new Map<string, readonly unknown[]>();
    const store = around(new MemoryProvider(), (name, call, args) => {
      calls.set(name, args);
      return call();
    });
    const provider = encrypted(store, { keys: [KEY] });
    const patience: Patience = makePatience();
    const last = async (name: keyof Provider, ...args: unknown[]) => {
      const call = provider[name] as (...args: unknown[]) => unknown;
      await call.apply(provider, args);
      return calls.get(name);
    };
    assertEquals(
      (await last("create", A, ADA, START, patience))?.[3],
      patience,
    );
    assertEquals(
      (await last("update", A, {}, GUARD, START, patience))?.slice(2),
      [GUARD, START, patience],
    );
    const same: [keyof Provider, ...unknown[]][] = [
      ["touch", A, START, patience],
      ["gc", START, 7, patience],
      ["destroyMany", [A], GUARD, START, patience],
      ["destroy", A, GUARD, START, patience],
      ["destroyAll", "ada", A, patience],
      ["clear", patience],
      ["scan", undefined, 3, START],
    ];
    for (const [name, ...args] of same) {
      assertEquals(await last(name, ...args), args, name);
    }
  });

  it("tell of removals, of the store's clock, and of its touches", async () => {
    const store = new MemoryProvider({ maxSessions: 1 });
    let reconnects = 0;
    Object.assign(store, {
      serverTime: () => 42,
      reconnect: () => reconnects++,
    });
    const provider = encrypted(store, { keys: [KEY] });
    const removed: string[] = [];
    const stop = provider.observe?.((reason, id) => {
      removed.push(`${reason} ${id}`);
    });
    await provider.create(A, ADA, START);
    await provider.create(B, ADA, START);
    stop?.();
    await provider.create(A, ADA, START);
    assertEquals(removed, [`evicted ${A}`]);
    assertEquals(await provider.serverTime?.(), 42);
    provider.reconnect?.();
    assertEquals(reconnects, 1);
    assertEquals(provider.touchInterval, store.touchInterval);
    assertEquals(
      encrypted(new ModelProvider(), { keys: [KEY] }).touchInterval,
      undefined,
    );
  });

  it("fail as the store's do once it is closed", async () => {
    const { provider } = setUp({});
    await provider.close();
    const error = assertThrows(() => provider.read(A, START), SessionError);
    assertEquals(error.code, "closed");
  });
});

/** A session of Ada's with two keys. */
const ADA: NewSessionRecord = makeRecord({
  data: makeData([["cart", "a coat"], ["size", 42]]),
  principal: "ada",
  label: "Laptop",
  fingerprint: "looks",
});

interface Setup {
  readonly store: MemoryProvider;
  readonly provider: Provider;
}

function setUp({ keys = [KEY], hide }: Partial<EncryptedOptions>): Setup {
  const store = new MemoryProvider();
  return { store, provider: encrypted(store, { keys, hide }) };
}

/** One store, seen before, during and after a rotation. */
function rotating(hide: readonly Hidden[]) {
  const { store, provider: both } = setUp({ keys: [NEW, OLD], hide });
  return {
    store,
    both,
    onlyOld: encrypted(store, { keys: [OLD], hide }),
    onlyNew: encrypted(store, { keys: [NEW], hide }),
  };
}

async function live(provider: Provider, id = A): Promise<SessionRecord> {
  const record = await provider.read(id, START);
  assert(record !== undefined, "the session is gone");
  return record;
}

function entries({ data }: { data: StoredData }): [string, StoredValue][] {
  return Object.entries(data).sort(([a], [b]) => a < b ? -1 : 1);
}

async function assertCorrupt(provider: Provider, id: string): Promise<void> {
  const error = await assertRejects(
    async () => await provider.read(id, START),
    SessionError,
    "Cannot decrypt session",
  );
  assertEquals([error.code, error.id], ["corrupt", id]);
}

/** Both sessions as they were created. */
async function refill(provider: Provider): Promise<void> {
  await provider.clear();
  for (const id of [A, B]) assert(await provider.create(id, ADA, START));
}

/** Writes past the encryption, as whoever has the database can. */
async function tamper(
  store: Provider,
  id: string,
  change: object,
): Promise<void> {
  assertEquals(await store.update(id, change, {}, START), "done");
}

function write(
  store: Provider,
  id: string,
  values: Readonly<Record<string, StoredValue>>,
): Promise<void> {
  return tamper(store, id, { set: makeData(Object.entries(values)) });
}

const ALPHABET =
  "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/** The text with one of the six bits changed that a character stands for. */
function flipped(text: string, at: number, bit: number): string {
  const value = ALPHABET.indexOf(text[at] as string) ^ (1 << bit);
  return text.slice(0, at) + ALPHABET[value] + text.slice(at + 1);
}

/** The keys of the one that the other has not. */
function without(data: object, other: object): string[] {
  return Object.keys(data).filter((key) => !Object.hasOwn(other, key));
}

interface Vector {
  readonly key: Buffer;
  readonly context: Buffer;
  readonly sealed: Buffer;
  /** `undefined` where it must not be decrypted. */
  readonly plain: Buffer | undefined;
}

function vectors(name: "encrypt" | "decrypt"): readonly Vector[] {
  const path = new URL("./vectors/aes_256_gcm.json", import.meta.url);
  const file: Record<string, Record<string, string>[]> = JSON.parse(
    readFileSync(path, "utf8"),
  );
  return (file[name] ?? []).map(({ key, iv, aad, ct, tag, pt }) => ({
    key: unhex(key),
    context: unhex(aad),
    sealed: Buffer.concat([unhex(iv), unhex(ct), unhex(tag)]),
    plain: typeof pt === "string" ? unhex(pt) : undefined,
  }));
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}

function unhex(text = ""): Buffer {
  return Buffer.from(text, "hex");
}

/** As the runtime prints it on the console. */
function print(value: unknown): string {
  const { Deno, Bun } = globalThis as {
    readonly Deno?: { inspect(value: unknown, options: object): string };
    readonly Bun?: { inspect(value: unknown, options: object): string };
  };
  const options = { depth: 10, showHidden: true };
  return (Deno ?? Bun)?.inspect(value, options) ?? "";
}
