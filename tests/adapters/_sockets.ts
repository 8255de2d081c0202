/** Upgrades a request by the runtime's own means, for frameworks without any. */

/** What Bun has to know of WebSockets before it serves. */
export const websocket = {
  open: (socket: { readonly data: Greeting; send(text: string): void }) =>
    socket.send(socket.data.message),
  message: () => {},
};

interface Greeting {
  readonly message: string;
}

interface BunServer {
  upgrade(request: Request, options: { data: Greeting }): boolean;
}

/**
 * Upgrades a request and says something first.
 *
 * @param server Bun's server, which it passes beside the request.
 * @returns The answer; on Bun an empty one that nobody sends.
 */
export function upgrade(
  request: Request,
  server: unknown,
  message: string,
): Response {
  if ("Bun" in globalThis) {
    (server as BunServer).upgrade(request, { data: { message } });
    return new Response(null);
  }
  const { response, socket } = Deno.upgradeWebSocket(request);
  socket.onopen = () => socket.send(message);
  return response;
}
