/**
 * A WebSocket that counts messages in the session of its handshake, and asks
 * whether that still lives before it acts on one.
 * `deno serve examples/websocket.ts` or `bun examples/websocket.ts`.
 *
 * @module
 */
import {
  DEFAULT_RENEW_INTERVAL,
  Manager,
  type ManagerOptions,
  type Session,
} from "@cloakroom/session";

type Count = { messages: number };

/** What a socket is on Deno and on Bun. */
interface Socket {
  send(text: string): unknown;
  close(code: number, reason: string): void;
}

/** What a socket was opened with. */
interface Opened {
  readonly session: Session<Count>;
  /** Whether that is so long ago that the client should connect again. */
  readonly isOld: () => boolean;
}

/** The part of Bun's server that is needed here. */
interface BunServer {
  upgrade(request: Request, options: { readonly data: Opened }): boolean;
}

export function makeServer(options: ManagerOptions = {}) {
  const { now = () => Date.now() } = options;
  const manager = new Manager<Count>(options);
  const handler = (
    request: Request,
    session: Session<Count>,
    server?: unknown,
  ): Response | undefined => {
    const { pathname } = new URL(request.url);
    if (pathname === "/socket") {
      const until = now() + DEFAULT_RENEW_INTERVAL * 1000;
      const opened = { session, isOld: () => now() >= until };
      return upgrade(request, opened, server);
    }
    if (request.method === "POST") {
      // For this demonstration only: whoever asks is signed in.
      if (pathname === "/sign-in") session.signIn("ada");
      if (pathname === "/sign-out") session.destroy();
    }
    return page(session.principal);
  };
  return { fetch: manager.handle(handler), websocket };
}

/** Opens a socket with the session of its handshake, on Deno or on Bun. */
function upgrade(
  request: Request,
  opened: Opened,
  server: unknown,
): Response | undefined {
  if (opened.session.principal === undefined) {
    return new Response("Please sign in", { status: 401 });
  }
  if (request.headers.get("upgrade")?.toLowerCase() !== "websocket") {
    return new Response("This is a WebSocket", { status: 426 });
  }
  if ("Bun" in globalThis) {
    const isOpen = (server as BunServer).upgrade(request, { data: opened });
    return isOpen ? undefined : new Response(null, { status: 400 });
  }
  const { socket, response } = Deno.upgradeWebSocket(request);
  socket.onmessage = ({ data }) => receive(socket, opened, String(data));
  return response;
}

/** What Bun does with a message. */
const websocket = {
  message(socket: Socket & { readonly data: Opened }, text: unknown) {
    return receive(socket, socket.data, String(text));
  },
};

async function receive(socket: Socket, opened: Opened, text: string) {
  const { session, isOld } = opened;
  try {
    // Not `manager.start` with the handshake: its cookie grows old.
    if (!await session.isAlive()) return socket.close(4401, "Signed out");
    // A new handshake shows the cookie, by which a copy is found out.
    if (isOld()) return socket.close(4000, "Connect again");
    const count = await session.update("messages", (count = 0) => count + 1);
    socket.send(`${count}: ${text}`);
  } catch {
    // The store cannot tell, or the session ended just now. An error that nobody
    // handles would end the process.
    socket.close(1011, "Try again later");
  }
}

function page(user: string | undefined): Response {
  const action = user === undefined ? "sign-in" : "sign-out";
  const html = `<!doctype html><title>Messages</title>
<form method="post" action="/${action}"><button>${action}</button></form>
<input id="text" placeholder="A message"><pre id="log"></pre>
<script>
  let socket;
  function connect() {
    socket = new WebSocket(location.origin.replace("http", "ws") + "/socket");
    socket.onmessage = ({ data }) => log.append(data + "\\n");
    socket.onclose = ({ code, reason }) => {
      log.append("Closed: " + reason + "\\n");
      if (code === 4000) connect();
    };
  }
  text.onchange = () => { socket.send(text.value); text.value = ""; };
  ${user === undefined ? "" : "connect();"}
</script>`;
  const headers = { "content-type": "text/html; charset=utf-8" };
  return new Response(html, { headers });
}

export default makeServer();
