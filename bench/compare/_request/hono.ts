import { Hono } from "hono";
import { type FetchHandler, NOBODY } from "./contract.ts";

const app = new Hono().get("/", (context) => context.text(NOBODY));

/** A handler of `hono` without a session. */
export const bareHono: FetchHandler = (request) => app.fetch(request);
