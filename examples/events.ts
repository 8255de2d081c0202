/**
 * Server-sent events that end when the session does.
 * `deno serve examples/events.ts` or `bun examples/events.ts`, and two windows.
 *
 * @module
 */
import {
  DEFAULT_RENEW_INTERVAL,
  Manager,
  type ManagerOptions,
  type Session,
} from "@cloakroom/session";

/** How often a silent stream asks whether it may go on, in milliseconds. */
const HEARTBEAT = 15_000;

/** One open stream. */
interface Listener {
  /** Sends a text, or ends the stream if its session has ended. */
  tell(text: string): Promise<void>;
}

export function makeServer(options: ManagerOptions = {}) {
  const { now = () => Date.now() } = options;
  const listeners = new Set<Listener>();
  const manager = new Manager({
    // The page opens the stream by itself: that keeps nobody signed in.
    isUse: ({ url }) => new URL(url).pathname !== "/events",
    ...options,
  });

  function listen(session: Session): ReadableStream<Uint8Array> {
    const encoder = new TextEncoder();
    // A browser connects again by itself, and shows the cookie that it has then.
    const until = now() + DEFAULT_RENEW_INTERVAL * 1000;
    let end = () => {};
    return new ReadableStream({
      start(controller) {
        const listener: Listener = {
          async tell(text) {
            // A store that cannot tell ends the stream as well.
            const isAlive = await session.isAlive().catch(() => false);
            if (!listeners.has(listener)) return;
            if (isAlive && now() < until) {
              return controller.enqueue(encoder.encode(text));
            }
            end();
            controller.close();
          },
        };
        // A line that begins with a colon is no event.
        const timer = setInterval(() => listener.tell(":\n\n"), HEARTBEAT);
        end = () => {
          clearInterval(timer);
          listeners.delete(listener);
        };
        listeners.add(listener);
        controller.enqueue(encoder.encode("data: Welcome\n\n"));
      },
      cancel: () => end(),
    });
  }

  const fetch = manager.handle(async (request, session) => {
    const { pathname } = new URL(request.url);
    if (request.method === "POST") {
      // For this demonstration only: whoever asks is signed in.
      if (pathname === "/sign-in") session.signIn("ada");
      if (pathname === "/sign-out") session.destroy();
      if (pathname === "/say" && session.principal !== undefined) {
        // In JSON, for an event's data is one line.
        const event = `data: ${JSON.stringify(await request.text())}\n\n`;
        await Promise.all([...listeners].map(({ tell }) => tell(event)));
        return new Response(null, { status: 204 });
      }
      return new Response(null, { status: 303, headers: { location: "/" } });
    }
    if (pathname !== "/events") return page(session.principal);
    // A browser does not ask again after this.
    if (session.principal === undefined) {
      return new Response("Please sign in", { status: 401 });
    }
    const headers = {
      "content-type": "text/event-stream",
      "cache-control": "no-store",
    };
    return new Response(listen(session), { headers });
  });

  return { fetch, manager, listeners };
}

function page(user: string | undefined): Response {
  const action = user === undefined ? "sign-in" : "sign-out";
  const html = `<!doctype html><title>Events</title>
<form method="post" action="/${action}"><button>${action}</button></form>
<input id="text" placeholder="A message"><pre id="log"></pre>
<script>
  const send = (body) => fetch("/say", { method: "POST", body });
  text.onchange = () => { send(text.value); text.value = ""; };
  const events = new EventSource("/events");
  events.onmessage = ({ data }) => log.append(data + "\\n");
</script>`;
  const headers = { "content-type": "text/html; charset=utf-8" };
  return new Response(html, { headers });
}

export default { fetch: makeServer().fetch };
