import type { FetchSetup } from "./contract.ts";
import { makeSetup } from "./hono_sessions.ts";

/** With the id in plain text, which is faster. */
export const setup: FetchSetup = makeSetup(
  "hono-sessions, MemoryStore, no encryptionKey",
  undefined,
);
