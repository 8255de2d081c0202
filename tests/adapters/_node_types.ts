/** Checks the types of sessions in the frameworks of `node:http`; never run. */
import connect from "connect";
// @ts-types="npm:@types/express@^5"
import type { Request } from "express";
import type { FastifyRequest } from "fastify";
import { createServer, type Server } from "node:http";
import polka from "polka";
import { session, upgrade } from "../../adapters/express.ts";
import { Manager } from "../../mod.ts";
import type { app as express } from "./examples/express.ts";
import type { app as fastify } from "./examples/fastify.ts";
import { app as koa } from "./examples/koa.ts";

/** What the examples make, so that what they declare is looked at. */
export type Apps = [typeof express, typeof fastify];

/** Sessions where their types are declared once for a framework. */
export function declared(
  { session: ofExpress }: Request,
  { session: ofFastify }: FastifyRequest,
): void {
  for (const session of [ofExpress, ofFastify]) {
    session.get("visits") satisfies number | undefined;
    session.set("visits", 1);
    // @ts-expect-error There is no such key.
    session.set("visitors", 1);
    // @ts-expect-error There are no such values under it.
    session.set("visits", "one");
  }
}

/** Sessions where the type of the app tells. */
export function inferred(): void {
  koa.use(({ session }) => {
    session.get("visits") satisfies number | undefined;
    // @ts-expect-error There is no such key.
    session.set("visitors", 1);
  });
}

/** The middleware in each that takes it. */
export function mounted(): Server {
  const manager = new Manager<{ visits: number }>();
  connect().use(session(manager));
  polka().use(session(manager));
  const server = createServer((request, response) =>
    session(manager)(request, response, () => response.end())
  );
  server.on("upgrade", async (request, socket) => {
    const started = await upgrade(manager, request, socket);
    started?.get("visits") satisfies number | undefined;
    // @ts-expect-error There is no such key.
    started?.get("visitors");
  });
  return server;
}
