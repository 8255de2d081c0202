import { Elysia } from "elysia";
import { session } from "../../../adapters/elysia.ts";
import { Manager } from "../../../mod.ts";
import { newcomerIn, perform } from "./actions.ts";
import type { FetchSetup, Visitor } from "./contract.ts";
import { bareElysia } from "./elysia.ts";

const manager = new Manager<Visitor>();

/** Ours, with its adapter for Elysia. */
export const setup: FetchSetup = {
  name: "ours, Elysia",
  packages: ["elysia"],
  keeps: "server",
  kind: "fetch",
  bare: bareElysia,
  handler(action) {
    const { wrap, derive } = session(manager);
    const app = new Elysia().wrap(wrap).derive({ as: "global" }, derive)
      .get(
        "/",
        ({ request, session }) =>
          perform(action, session, newcomerIn(request, action)),
      );
    return (request) => app.fetch(request);
  },
};
