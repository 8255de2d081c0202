/** Says what the contexts of frameworks hold, as each application does. */
import type { Session } from "../../mod.ts";
import type { Data } from "./_routes.ts";

export type { H3EventContext } from "h3";

declare module "h3" {
  interface H3EventContext {
    session: Session<Data>;
  }
}

// Of Astro and of SvelteKit.
declare global {
  namespace App {
    interface Locals {
      session: Session<Data>;
    }
  }
}
