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
} from "@cloakroom/session";

/** How often a silent stream asks whether it may go on, in milliseconds. */
const HEARTBEAT = 15_000;

/** An open stream: sends a text, or ends if it may not go on. */
type Listener = (text: string) => Promise<void>;

export function makeServer(options: ManagerOptions = {}) {
  const { now = () => Date.now() } = options;
  const listeners = new Set<Listener>();
  const manager = new Manager({
    // The page opens the stream by itself: that keeps nobody signed in.
    isUse: ({ url }) => new URL(url).pathname !== "/events",
    ...options,
  });

  const fetch = manager.handle(async (request, session) => {
    const { pathname } = new URL(request.url);
    if (pathname === "/events") {
      // A browser connects again by itself, and shows the cookie it has then.
      const until = now() + DEFAULT_RENEW_INTERVAL * 1000;
      // A store that cannot tell ends the stream as well.
      const mayGoOn = async () =>
        now() < until && await session.isAlive().catch(() => false);
      return session.principal === undefined
        ? new Response("Please sign in", { status: 401 }) // it asks no more
        : new Response(streamOf(listeners, mayGoOn), { headers: STREAM });
    }
    if (request.method !== "POST") return page(session.principal);
    // For this demonstration only: whoever asks is signed in.
    if (pathname === "/sign-in") session.signIn("ada");
    if (pathname === "/sign-out") session.destroy();
    if (pathname === "/say" && session.principal !== undefined) {
      // In JSON, for an event's data is one line.
      const event = `data: ${JSON.stringify(await request.text())}\n\n`;
      await Promise.all([...listeners].map((tell) => tell(event)));
    }
    return new Response(null, { status: 303, headers: { location: "/" } });
  });

  return { fetch, manager, listeners };
}

const STREAM = {
  "content-type": "text/event-stream",
  "cache-control": "no-store",
};

function streamOf(
  listeners: Set<Listener>,
  mayGoOn: () => Promise<boolean>,
): ReadableStream<Uint8Array> {
  const encoder = new TextEncoder();
  let end = () => {};
  return new ReadableStream({
    start(controller) {
      const tell: Listener = async (text) => {
        const isAllowed = await mayGoOn();
        if (!listeners.has(tell)) return;
        if (isAllowed) return controller.enqueue(encoder.encode(text));
        end();
        controller.close();
      };
      // A line that begins with a colon is no event.
      const timer = setInterval(() => tell(":\n\n"), HEARTBEAT);
      end = () => {
        clearInterval(timer);
        listeners.delete(tell);
      };
      listeners.add(tell);
      controller.enqueue(encoder.encode("data: Welcome\n\n"));
    },
    cancel: () => end(),
  });
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
