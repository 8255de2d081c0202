import { randomBytes } from "node:crypto";
import { bareHandler, newcomerIn } from "./actions.ts";
import { type FetchSetup, NOBODY, type Visitor } from "./contract.ts";

const NAME = "id=";
const ID_LENGTH = 24;

const visitors = new Map<string, Visitor>();

/** No library: an id in a cookie, and a `Map`. Nothing expires. */
export const setup: FetchSetup = {
  name: "cookie by hand, Map.get",
  packages: [],
  keeps: "server",
  kind: "fetch",
  bare: bareHandler,
  handler: (action) => (request) => {
    const newcomer = newcomerIn(request, action);
    if (newcomer !== null) return signUp(newcomer);
    const visitor = visitors.get(idIn(request));
    if (visitor === undefined) return new Response(NOBODY);
    if (action === "visits") return new Response(`${visitor.visits}`);
    if (action === "write") visitor.visits++;
    return new Response(visitor.visitor);
  },
};

function idIn(request: Request): string {
  const cookie = request.headers.get("cookie");
  if (cookie === null) return "";
  const at = cookie.indexOf(NAME);
  if (at < 0) return "";
  const start = at + NAME.length;
  return cookie.slice(start, start + ID_LENGTH);
}

function signUp(visitor: string): Response {
  const id = randomBytes(ID_LENGTH * 3 / 4).toString("base64url");
  visitors.set(id, { visitor, visits: 0 });
  const cookie = `${NAME}${id}; Path=/; HttpOnly; SameSite=Lax`;
  return new Response(visitor, { headers: { "set-cookie": cookie } });
}
