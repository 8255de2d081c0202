import { createServer, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { SECRET, type Site } from "../contract.ts";

/** Serves on a free port of this machine. */
export async function listen(listener: RequestListener): Promise<Site> {
  const server = createServer(listener);
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  const { port } = server.address() as AddressInfo;
  return {
    fetch: ({ url, method, headers }) => {
      const { pathname, search } = new URL(url);
      const address = `http://127.0.0.1:${port}${pathname}${search}`;
      return fetch(address, { method, headers, redirect: "manual" });
    },
    close() {
      server.close();
      server.closeAllConnections();
    },
  };
}

/** A signature as whoever knows the site's secret makes it, in base64. */
export async function sign(text: string, hash: string): Promise<string> {
  const bytes = (value: string) => new TextEncoder().encode(value);
  const algorithm = { name: "HMAC", hash };
  const key = await crypto.subtle
    .importKey("raw", bytes(SECRET), algorithm, false, ["sign"]);
  const signature = await crypto.subtle.sign("HMAC", key, bytes(text));
  const binary = String.fromCharCode(...new Uint8Array(signature));
  return btoa(binary).replaceAll("=", "");
}

/** An id as `express-session` and `@fastify/session` sign it. */
export async function signed(id: string): Promise<string> {
  return encodeURIComponent(`${id}.${await sign(id, "SHA-256")}`);
}
