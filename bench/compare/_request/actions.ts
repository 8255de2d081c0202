import { type Action, NOBODY, type Visitor } from "./contract.ts";

/** A session whose values are read and written by calls. */
interface Values {
  get(key: keyof Visitor): unknown;
  set<Key extends keyof Visitor>(key: Key, value: Visitor[Key]): unknown;
}

/**
 * Does what a request asks for and answers the body.
 *
 * @param newcomer The header `x-visitor`.
 */
export function perform(
  action: Action,
  session: Values,
  newcomer: string | null,
): string {
  if (action === "signUp" && newcomer !== null) {
    session.set("visitor", newcomer);
    session.set("visits", 0);
    return newcomer;
  }
  const visitor = session.get("visitor");
  if (typeof visitor !== "string") return NOBODY;
  if (action === "read") return visitor;
  const visits = Number(session.get("visits"));
  if (action === "visits") return `${visits}`;
  session.set("visits", visits + 1);
  return visitor;
}

/** The same for a session that is an object. */
export function performOn(
  action: Action,
  session: Partial<Visitor>,
  newcomer: string | null,
): string {
  if (action === "signUp" && newcomer !== null) {
    session.visitor = newcomer;
    session.visits = 0;
    return newcomer;
  }
  const { visitor, visits = 0 } = session;
  if (visitor === undefined) return NOBODY;
  if (action === "read") return visitor;
  if (action === "visits") return `${visits}`;
  session.visits = visits + 1;
  return visitor;
}

/** The name in a request to sign up. */
export function newcomerIn(request: Request, action: Action): string | null {
  return action === "signUp" ? request.headers.get("x-visitor") : null;
}

/** A handler without a session. */
export function bareHandler(_request: Request): Response {
  return new Response(NOBODY);
}
