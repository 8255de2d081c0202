import { openStore } from "./cloakroom.ts";
import type { Contestant } from "./contract.ts";

/** How long a time that was read is good for, as in `lru-cache`: milliseconds. */
const RESOLUTION = 1;

/** Our memory provider, with a clock like that of `lru-cache`. */
export const contestant: Contestant = {
  name: "@cloakroom/session, its clock read once a millisecond",
  expires: true,
  open: (_capacity, ttl) => openStore(ttl, cachedClock()),
};

function cachedClock(): () => number {
  let now = 0;
  return () => {
    if (now === 0) {
      now = Date.now();
      setTimeout(() => now = 0, RESOLUTION);
    }
    return now;
  };
}
