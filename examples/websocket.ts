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
  /** When, in milliseconds since the Unix epoch. */
  readonly at: number;
}

/** The part of Bun's server that is needed here. */
interface BunServer {
  upgrade(request: Request, options: { readonly data: Opened }): boolean;
}

export function makeServer(options: ManagerOptions = {}) {
  const { now = () => Date.now() } = options;
  const manager = new Manager<Count>(options);

  async function receive(socket: Socket, opened: Opened, text: string) {
    const { session, at } = opened;
    try {
      if (!await session.isAlive()) return socket.close(4401, "Signed out");
      // A new handshake shows the cookie, by which a copy is found out.
      if (now() - at >= DEFAULT_RENEW_INTERVAL * 1000) {
        return socket.close(4000, "Connect again");
      }
      const count = await session.update("messages", (count = 0) => count + 1);
      socket.send(`${count}: ${text}`);
    } catch {
      // The store cannot tell, or the session ended just now. An error that
      // nobody handles would end the process.
      socket.close(1011, "Try again later");
    }
  }

  const fetch = manager.handle(
    (
      request,
      session,
      server: unknown = undefined,
    ): Response | undefined => {
      const { pathname } = new URL(request.url);
      // For this demonstration only: whoever asks is signed in.
      if (request.method === "POST" && pathname === "/sign-in") {
        session.signIn("ada");
      }
      if (request.method === "POST" && pathname === "/sign-out") {
        session.destroy();
      }
      if (pathname !== "/socket") return page(session.principal);
      if (session.principal === undefined) {
        return new Response("Please sign in", { status: 401 });
      }
      if (request.headers.get("upgrade")?.toLowerCase() !== "websocket") {
        return new Response("This is a WebSocket", { status: 426 });
      }
      // `start` once, for the handshake: its cookie grows old.
      const opened = { session, at: now() };
      if ("Bun" in globalThis) {
        const isOpen = (server as BunServer).upgrade(request, { data: opened });
        return isOpen ? undefined : new Response(null, { status: 400 });
      }
      const { socket, response } = Deno.upgradeWebSocket(request);
      socket.onmessage = ({ data }) => receive(socket, opened, String(data));
      return response;
    },
  );

  /** For Bun. */
  const websocket = {
    message(socket: Socket & { readonly data: Opened }, text: unknown) {
      return receive(socket, socket.data, String(text));
    },
  };
  return { fetch, websocket };
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
