/**
 * Counts the visits of each browser: `deno serve examples/counter.ts` or
 * `bun examples/counter.ts`.
 *
 * @module
 */
import { Manager } from "@cloakroom/session";

const manager = new Manager<{ visits: number }>();

export default {
  fetch: manager.handle(async (request, session) => {
    // Browsers ask for /favicon.ico too.
    if (request.url.endsWith(".ico")) {
      return new Response(null, { status: 404 });
    }
    const visits = await session.update("visits", (visits = 0) => visits + 1);
    return new Response(`Visit ${visits}\n`);
  }),
};
