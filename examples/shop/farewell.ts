/** What the shop says when a session has ended. */
import type { RefusalReason } from "@cloakroom/session";
import { COPIED, EXPIRED } from "./endings.ts";
import type { Notice, Visit } from "./visit.ts";

const LOST = "Your session could not be opened. Please start again.";

/** What to say for each reason; `undefined` for nothing. */
const REFUSED: Readonly<Record<RefusalReason, string | undefined>> = {
  reused: COPIED,
  unknown: EXPIRED,
  malformed: LOST,
  "wrong-secret": LOST,
  fingerprint: LOST,
  "rolled-back": LOST,
  ambiguous: LOST,
  unproven: LOST,
  unbound: LOST,
  // The browser has a newer cookie already, and shows it next time.
  superseded: undefined,
};

/** What to tell whose cookie opened nothing. */
export function farewellOf({ session, shop }: Visit): Notice | undefined {
  const { refusal } = session;
  if (refusal === undefined) return undefined;
  const text = refusal === "unknown"
    ? shop.endings.textOf(refusedId(shop))
    : REFUSED[refusal];
  return text === undefined ? undefined : { tone: "error", text };
}

/** The session whose cookie this request came with in vain. */
export function refusedId(
  { watch }: Pick<Visit["shop"], "watch">,
): string | undefined {
  return watch.acts.find(({ name }) => name === "refused" || name === "reused")
    ?.id;
}
