/**
 * A small shop that shows what sessions are for: a cart, messages shown once,
 * signing in, paying, devices, and a cookie that is stolen. A panel beside it
 * shows what the library does.
 *
 * Run it with `deno task start` or `bun examples/shop/main.ts`, and open
 * http://localhost:8000/. Sessions are kept in memory, or where `SESSION_STORE`
 * says: see `../store.ts`.
 *
 * @module
 */
import { openStore } from "../store.ts";
import { makeShop } from "./shop.ts";

export default {
  hostname: "localhost",
  port: 8000,
  // Longer than the pause between two events of the panel.
  idleTimeout: 30,
  fetch: makeShop({ provider: await openStore() }).fetch,
};
