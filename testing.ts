/**
 * Tests pages behind a session: a jar that keeps cookies as a browser does, a
 * clock to move, and a sign-in without the form.
 *
 * @example The test of a page behind a sign-in
 * ```ts
 * import { Manager } from "@cloakroom/session";
 * import { Jar } from "@cloakroom/session/testing";
 * import { assertEquals } from "@std/assert";
 *
 * await using sessions = new Manager();
 * const app = sessions.handle((_request, { principal }) =>
 *   principal === undefined
 *     ? new Response("Please sign in", { status: 401 })
 *     : new Response(`Hello, ${principal}`)
 * );
 *
 * const jar = new Jar(app);
 * await jar.signIn(sessions, "ada");
 * assertEquals(await (await jar.fetch("/account")).text(), "Hello, ada");
 * ```
 *
 * @example An hour later
 * ```ts
 * import { Manager } from "@cloakroom/session";
 * import { Clock, Jar } from "@cloakroom/session/testing";
 * import { assertEquals } from "@std/assert";
 *
 * const clock = new Clock();
 * await using sessions = new Manager({ idleTimeout: 3600, now: clock.now });
 * const app = sessions.handle((_request, { principal }) =>
 *   Response.json({ user: principal ?? null })
 * );
 *
 * const jar = new Jar(app, { now: clock.now });
 * await jar.signIn(sessions, "ada");
 * clock.advance(3600);
 * assertEquals(await (await jar.fetch("/")).json(), { user: null });
 * ```
 *
 * @module
 */
export { Clock } from "./testing/clock.ts";
export {
  Jar,
  type JarOptions,
  type JarSignInOptions,
  type RequestHandler,
  type Target,
} from "./testing/jar.ts";
export type { JarCookie, RefusedCookie } from "./testing/jar_cookie.ts";
