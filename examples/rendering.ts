/**
 * A server that renders pages for the user, in front of an API that has the
 * sessions: it shows the API the user's cookie, and hands the user's browser
 * what the API sets. `deno serve examples/rendering.ts` or
 * `bun examples/rendering.ts`.
 *
 * @module
 */
import { Manager, type ManagerOptions } from "@cloakroom/session";

/** Who asks, and from where: without the last two, no form is another site's. */
const PASSED_ON = ["cookie", "user-agent", "origin", "sec-fetch-site"];

/** What comes with a cookie, so that no cache keeps the page. */
const PASSED_BACK = ["cache-control", "vary", "clear-site-data"];

type Api = (request: Request) => Promise<Response>;

/** Where the browser finds the pages, and the server the API. */
const SITE = "http://localhost:8000";
const API = "http://localhost:8001";

/** The API. Elsewhere in real life, and asked with `fetch`. */
export function makeApi(options: ManagerOptions = {}): Api {
  const manager = new Manager<{ pages: number }>({
    trustedOrigins: [SITE], // for browsers that tell by `Origin` alone
    ...options,
  });
  return manager.handle(async (request, session) => {
    const { pathname } = new URL(request.url);
    // For this demonstration only: whoever asks is signed in.
    if (pathname === "/sign-in") session.signIn("ada");
    if (pathname === "/sign-out") session.destroy();
    if (session.principal === undefined) return Response.json({});
    const pages = await session.update("pages", (pages = 0) => pages + 1);
    return Response.json({ user: session.principal, pages });
  });
}

/** The server that renders. It has no session of its own. */
export function makePages(api: Api): Api {
  return async (request) => {
    const { pathname } = new URL(request.url);
    if (pathname !== "/" && request.method !== "POST") {
      return new Response("Not found", { status: 404 });
    }
    const answer = await api(askFor(pathname, request));
    const headers = headersBack(answer);
    if (!answer.ok) {
      return new Response(answer.body, { status: answer.status, headers });
    }
    if (request.method === "POST") {
      headers.set("location", "/");
      return new Response(null, { status: 303, headers });
    }
    headers.set("content-type", "text/html; charset=utf-8");
    return new Response(page(await answer.json()), { headers });
  };
}

function askFor(pathname: string, { method, headers }: Request): Request {
  const passed = new Headers();
  for (const name of PASSED_ON) {
    const value = headers.get(name);
    if (value !== null) passed.set(name, value);
  }
  const url = new URL(pathname, API);
  return new Request(url, { method, headers: passed });
}

function headersBack({ headers }: Response): Headers {
  const passed = new Headers();
  // Not by `get`, which joins several into one that no browser reads.
  for (const cookie of headers.getSetCookie()) {
    passed.append("set-cookie", cookie);
  }
  for (const name of PASSED_BACK) {
    const value = headers.get(name);
    if (value !== null) passed.set(name, value);
  }
  return passed;
}

function page({ user, pages }: { user?: string; pages?: number }): string {
  return user === undefined
    ? `<form method="post" action="/sign-in"><button>Sign in</button></form>`
    : `<h1>Hello, ${user}</h1><p>Page ${pages}</p>
<form method="post" action="/sign-out"><button>Sign out</button></form>`;
}

export default { fetch: makePages(makeApi()) };
