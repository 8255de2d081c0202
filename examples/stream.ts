/**
 * A report that is sent row by row, and notes in the session how far it got:
 * the answer has begun, so that only `update` can still write.
 * `deno serve examples/stream.ts` or `bun examples/stream.ts`.
 *
 * @module
 */
import {
  Manager,
  type ManagerOptions,
  type Session,
  SessionError,
} from "@cloakroom/session";

const ROWS = 5;

type Progress = { rows: number };

export function makeServer(options: ManagerOptions = {}) {
  const manager = new Manager<Progress>(options);
  const fetch = manager.handle((request, session) => {
    const { pathname } = new URL(request.url);
    if (request.method === "POST") {
      // For this demonstration only: whoever asks is signed in.
      if (pathname === "/sign-in") session.signIn("ada");
      if (pathname === "/sign-out") session.destroy();
      return new Response(null, { status: 303, headers: { location: "/" } });
    }
    if (session.principal === undefined) return page("sign-in");
    if (pathname !== "/report") return page("sign-out", session.get("rows"));
    // The stream's `update` needs a session that is stored, as this one is. A
    // visitor's would need a `set` here, before the answer goes out.
    const headers = {
      "content-type": "text/plain; charset=utf-8",
      "cache-control": "no-store",
    };
    return new Response(streamOf(report(session)), { headers });
  });
  return { fetch, manager };
}

async function* report(session: Session<Progress>): AsyncGenerator<string> {
  for (let row = 1; row <= ROWS; row++) {
    try {
      await session.update("rows", () => row);
    } catch (error) {
      // Whoever signed out meanwhile gets no further row, here or elsewhere.
      const isGone = error instanceof SessionError && error.code === "gone";
      if (!isGone) throw error;
      yield "Signed out\n";
      return;
    }
    yield `Row ${row}\n`;
  }
}

/** Makes a row when the one before has been taken, and not earlier. */
function streamOf(rows: AsyncGenerator<string>): ReadableStream<Uint8Array> {
  const encoder = new TextEncoder();
  return new ReadableStream({
    async pull(controller) {
      const { done, value } = await rows.next();
      if (done) controller.close();
      else controller.enqueue(encoder.encode(value));
    },
    async cancel() {
      await rows.return(undefined);
    },
  }, { highWaterMark: 0 });
}

function page(action: "sign-in" | "sign-out", rows?: number): Response {
  const html = `<!doctype html><title>Report</title>
<p>${rows === undefined ? "No report yet" : `${rows} of ${ROWS} rows sent`}</p>
<p><a href="/report">Report</a></p>
<form method="post" action="/${action}"><button>${action}</button></form>`;
  const headers = { "content-type": "text/html; charset=utf-8" };
  return new Response(html, { headers });
}

export default { fetch: makeServer().fetch };
