import { Elysia } from "elysia";
import { type FetchHandler, NOBODY } from "./contract.ts";

const app = new Elysia().get("/", () => NOBODY);

/** A handler of `elysia` without a session. */
export const bareElysia: FetchHandler = (request) => app.fetch(request);
