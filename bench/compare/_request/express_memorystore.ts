import session from "express-session";
import memorystore from "memorystore";
import type { NodeSetup } from "./contract.ts";
import { makeSetup } from "./express_session.ts";

const MemoryStore = memorystore(session);

/** With the store that its users are sent to for memory that is collected. */
export const setup: NodeSetup = makeSetup(
  "express-session, memorystore",
  ["express-session", "memorystore"],
  new MemoryStore({ checkPeriod: 86_400_000 }),
);
