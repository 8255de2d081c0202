import express from "express";
import type { Server } from "node:http";
import type {
  FetchHandler,
  NodeSetup,
  Setup,
} from "../compare/_request/contract.ts";

/** A handler without a session, or what it does with one. */
export type Served = "bare" | "read" | "write";

/** Serves a set-up on loopback and answers the port. */
export async function listen(
  setup: Setup,
  action: Served,
): Promise<number> {
  if (setup.kind === "node") return await listenWithExpress(setup, action);
  return serve(action === "bare" ? setup.bare : setup.handler(action));
}

/** As each runtime's documentation has it. */
function serve(fetch: FetchHandler): number {
  const { Bun } = globalThis as {
    Bun?: {
      serve(options: { port: number; hostname: string; fetch: FetchHandler }): {
        port: number;
      };
    };
  };
  const hostname = "127.0.0.1";
  if (Bun !== undefined) return Bun.serve({ port: 0, hostname, fetch }).port;
  return Deno.serve({ port: 0, hostname, onListen: () => {} }, fetch).addr.port;
}

function listenWithExpress(
  setup: NodeSetup,
  action: Served,
): Promise<number> {
  const app = express();
  if (action !== "bare") app.use(setup.middleware);
  app.get("/", action === "bare" ? setup.bare : setup.handler(action));
  return new Promise((resolve) => {
    const server: Server = app.listen(0, "127.0.0.1", () => {
      const address = server.address();
      if (address === null || typeof address === "string") return;
      resolve(address.port);
    });
  });
}
