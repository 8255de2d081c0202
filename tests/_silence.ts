/** Tests what helps when connections to a store fall silent, and new ones work. */
import { assertEquals, assertGreater, assertLess } from "@std/assert";
import { it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { Manager, type Provider, type SessionError } from "../mod.ts";
import { requestWith } from "./_browser.ts";
import { Proxy } from "./chaos/proxy.ts";

/** How long a call is waited for, in seconds. */
export const TIMEOUT = 1;

/** A way to a store through a proxy, and what has to be closed in the end. */
export interface Way {
  readonly provider: Provider;
  readonly close?: () => unknown;
}

/** A manager on a way through a proxy, with a visitor who has a session. */
async function behind(port: number, open: (port: number) => Way) {
  const proxy = await Proxy.start(port);
  const { provider, close } = open(proxy.port);
  const manager = new Manager({
    provider,
    timeout: TIMEOUT,
    gcInterval: 0,
    onEvent: () => {},
  });
  const answer = await manager.run(requestWith(), (session) => {
    session.set("name", "Ada");
    return new Response();
  });
  const cookie = answer.headers.getSetCookie()[0]?.split(";")[0];
  const read = async (): Promise<unknown> => {
    try {
      const session = await manager.start(requestWith(cookie));
      return session.get("name");
    } catch (error) {
      return (error as SessionError).code;
    }
  };
  const end = async () => {
    await manager.close();
    await close?.();
    await provider.close();
    await proxy.stop();
  };
  return { proxy, read, end };
}

/** Reads again and again; answers how long it took until that worked, in ms. */
async function recovery(read: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  while (performance.now() - start < 20_000) {
    if (await read() === "Ada") return performance.now() - start;
    await sleep(20);
  }
  throw new Error("it did not recover");
}

/**
 * The tests of a store by each of its clients.
 *
 * @param store Its name.
 * @param clients Opens the store through a port.
 * @param portOf The port of its server.
 */
export function testsOfSilence(
  store: string,
  clients: Record<string, (port: number) => Way>,
  portOf: () => number,
): void {
  for (const [name, open] of Object.entries(clients)) {
    it(`is over within two timeouts: ${store} by ${name}`, async () => {
      const { proxy, read, end } = await behind(portOf(), open);
      assertEquals(await read(), "Ada");
      proxy.silence();
      const took = await recovery(read);
      assertLess(took, 2 * TIMEOUT * 1000 + 500);
      assertEquals(await read(), "Ada");
      await end();
    });

    it(`leaves nothing waiting under load: ${store} by ${name}`, async () => {
      const { proxy, read, end } = await behind(portOf(), open);
      assertEquals(await read(), "Ada");
      proxy.silence();
      // A thousand requests a second; all but the first thousand fail at once.
      const codes: unknown[] = [];
      const pending: Promise<unknown>[] = [];
      for (let round = 0; round < 150; round++) {
        for (let call = 0; call < 10; call++) {
          pending.push(read().then((code) => codes.push(code)));
        }
        await sleep(10);
      }
      await Promise.all(pending);
      assertLess(await recovery(read), 2 * TIMEOUT * 1000 + 500);
      assertGreater(codes.filter((code) => code === "Ada").length, 0);
      await end();
    });
  }
}
