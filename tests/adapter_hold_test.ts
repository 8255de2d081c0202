/** Tests how answers of `node:http` are held back while a session is stored. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { Buffer } from "node:buffer";
import {
  createServer,
  type IncomingMessage,
  type ServerResponse,
} from "node:http";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { afterEach, describe, it } from "node:test";
import {
  session,
  type SessionMiddlewareOptions,
  type SessionRequest,
} from "../adapters/express.ts";
import { requestOf } from "../adapters/_node.ts";
import { SessionContext } from "../adapters/context.ts";
import { Manager, type Provider, type Session } from "../mod.ts";
import { MemoryProvider } from "../providers/memory.ts";
import { failCall, later } from "./_providers.ts";
import { listen } from "./adapters/_node_server.ts";
import { Client } from "./adapters/_client.ts";
import { type Data, Gate } from "./adapters/_routes.ts";

type Handler = (
  session: Session<Data>,
  response: ServerResponse,
  manager: Manager<Data>,
) => unknown;

const closing: (() => Promise<void>)[] = [];

afterEach(async () => {
  for (const close of closing.splice(0)) await close();
});

/** A store, which answers late, and a client of an application on it. */
async function serve(
  handler: Handler,
  options?: SessionMiddlewareOptions<IncomingMessage, ServerResponse>,
  slowed: (store: Provider) => Provider = later,
): Promise<{ client: Client; store: MemoryProvider }> {
  const store = new MemoryProvider();
  const manager = new Manager<Data>({
    provider: slowed(store),
    onEvent: () => {},
  });
  const middleware = session(manager, options);
  const server = createServer((request, response) => {
    response.setHeader("x-before", "kept");
    middleware(request, response, (error) => {
      if (error === undefined) {
        const { session } = request as unknown as SessionRequest<Data>;
        handler(session, response, manager);
      } else response.end("the error page");
    });
  });
  const app = {
    manager,
    context: new SessionContext<Data>(),
    mounts: 1,
    gate: new Gate(),
  } as const;
  const { url, close } = await listen(server, app);
  closing.push(close, () => manager.close());
  return { client: new Client(url), store };
}

/** Writes, so that there is something to be stored and a cookie to be sent. */
function write(session: Session<Data>): void {
  session.set("name", "Ada");
}

describe("headers given to writeHead", () => {
  const forms: Record<string, unknown[]> = {
    "an object": [{ "Set-Cookie": ["a=1", "b=2"], "X-Own": "yes" }],
    "pairs": [[["Set-Cookie", "a=1"], ["Set-Cookie", "b=2"], ["X-Own", "yes"]]],
    "names and values": [
      ["Set-Cookie", "a=1", "Set-Cookie", "b=2", "X-Own", "yes"],
    ],
    "an object after a message": ["Made", {
      "Set-Cookie": ["a=1", "b=2"],
      "X-Own": "yes",
    }],
  };
  for (const [form, args] of Object.entries(forms)) {
    it(`are kept beside the session's cookie: ${form}`, async () => {
      const { client } = await serve((session, response) => {
        write(session);
        response.setHeader("set-cookie", "replaced=1");
        response.writeHead(201, ...args as [{ [name: string]: string }]);
        response.end("made");
      });
      const { status, headers, text, cookies } = await client.open("/");
      assertEquals([status, text, cookies.length], [201, "made", 1]);
      assertEquals(headers.get("x-own"), "yes");
      const own = headers.getSetCookie().slice(0, 2);
      assertEquals(own, ["a=1", "b=2"]);
      assertEquals(headers.getSetCookie().length, 3);
    });
  }
});

describe("an answer that is held back", () => {
  it("comes whole and in order, however it was written", async () => {
    const { client } = await serve((session, response) => {
      write(session);
      response.flushHeaders();
      response.write("one ");
      response.write(Buffer.from("two "));
      response.end("three");
    });
    const page = await client.open("/");
    assertEquals([page.text, page.cookies.length], ["one two three", 1]);
  });

  it("takes a stream of five megabytes", async () => {
    const chunk = Buffer.alloc(64 * 1024, "x");
    const { client } = await serve((session, response) => {
      write(session);
      Readable.from(Array(80).fill(chunk)).pipe(response);
    });
    const page = await client.open("/");
    assertEquals([page.text.length, page.cookies.length], [
      80 * chunk.length,
      1,
    ]);
  });

  it("lets a pipeline come to its end", async () => {
    const ended = Promise.withResolvers<void>();
    const { client } = await serve((session, response) => {
      write(session);
      const source = Readable.from(["one ", "two ", "three"]);
      ended.resolve(pipeline(source, response));
    });
    assertEquals((await client.open("/")).text, "one two three");
    await ended.promise;
  });

  it("makes a writer wait, and tells it to go on", async () => {
    const seen: unknown[] = [];
    const { client } = await serve((session, response) => {
      write(session);
      response.once("drain", () => {
        seen.push("drain");
        response.end("second");
      });
      seen.push(response.write("first "));
    });
    assertEquals((await client.open("/")).text, "first second");
    assertEquals(seen, [false, "drain"]);
  });

  it("calls back as node does", async () => {
    const calls: string[] = [];
    const { client } = await serve((session, response) => {
      write(session);
      response.write("one ", () => calls.push("written"));
      response.end("two", () => calls.push("ended"));
    });
    assertEquals((await client.open("/")).text, "one two");
    assertEquals(calls, ["written", "ended"]);
  });

  it("looks as if it had been sent", async () => {
    const seen: unknown[] = [];
    const { client } = await serve((session, response) => {
      write(session);
      seen.push(response.headersSent, response.writableEnded);
      response.end("text");
      seen.push(response.headersSent, response.writableEnded);
    });
    assertEquals((await client.open("/")).text, "text");
    assertEquals(seen, [false, false, true, true]);
  });

  const late: Record<string, (response: ServerResponse) => unknown> = {
    setHeader: (response) => response.setHeader("content-length", "1"),
    appendHeader: (response) => response.appendHeader("x-late", "1"),
    removeHeader: (response) => response.removeHeader("x-before"),
    writeHead: (response) => response.writeHead(500),
  };
  for (const [name, call] of Object.entries(late)) {
    it(`refuses ${name} as one that was sent does`, async () => {
      let code: unknown;
      const { client } = await serve((session, response) => {
        write(session);
        response.end("whole");
        try {
          call(response);
        } catch (error) {
          code = (error as { code?: string }).code;
        }
      });
      const { status, text, headers } = await client.open("/");
      assertEquals([status, text], [200, "whole"]);
      assertEquals(headers.get("x-before"), "kept");
      assertEquals(code, "ERR_HTTP_HEADERS_SENT");
    });
  }

  it("is sent once, although it is ended twice", async () => {
    const { client } = await serve((session, response) => {
      write(session);
      response.end("first");
      response.end("second");
    });
    const page = await client.open("/");
    assertEquals([page.text, page.cookies.length], ["first", 1]);
  });

  it("has its headers changed freely until it is held", async () => {
    const { client } = await serve((session, response) => {
      write(session);
      response.setHeader("x-own", "no");
      response.removeHeader("x-own");
      response.appendHeader("x-list", "a");
      response.appendHeader("x-list", "b");
      response.end();
    });
    const { headers } = await client.open("/");
    assertEquals([headers.get("x-own"), headers.get("x-list")], [null, "a, b"]);
  });
});

describe("an answer whose session cannot be stored", () => {
  it("is dropped with its status and the headers set for it", async () => {
    const { client, store } = await serve((session, response) => {
      write(session);
      response.writeHead(201, { "content-length": "9", "x-own": "yes" });
      response.end("all right");
    });
    failCall(store, "create");
    const { status, text, headers, cookies } = await client.open("/");
    assertEquals([status, text, cookies], [200, "the error page", []]);
    assertEquals(headers.get("x-before"), "kept");
    assertEquals(headers.get("x-own"), null);
  });

  it("lets no stream into the error page, and closes it", async () => {
    const chunk = Buffer.alloc(64 * 1024, "x");
    const source = Readable.from(Array(80).fill(chunk));
    const closed = new Promise((resolve) => source.on("close", resolve));
    const { client, store } = await serve((session, response) => {
      write(session);
      source.pipe(response);
    });
    failCall(store, "create");
    assertEquals((await client.open("/")).text, "the error page");
    await closed;
  });

  it("keeps a stream out of an error page that takes its time", async () => {
    const source = Readable.from(Array(80).fill(Buffer.alloc(1024, "x")));
    const { client, store } = await serve((session, response) => {
      write(session);
      source.pipe(response);
    }, {
      onError(_error, _request, response) {
        response.write("y".repeat(4 * 1024 * 1024));
        response.once("drain", () => setTimeout(() => response.end("z"), 10));
      },
    });
    failCall(store, "create");
    assertMatch((await client.open("/")).text, /^y+z$/);
  });

  it("survives one who writes on regardless", async () => {
    const answered = Promise.withResolvers<void>();
    const wrote = Promise.withResolvers<void>();
    const { client, store } = await serve(async (session, response) => {
      write(session);
      response.write("one");
      await answered.promise;
      response.write("two");
      response.end("three");
      wrote.resolve();
    }, {
      onError(_error, _request, response) {
        response.end("the error page");
        answered.resolve();
      },
    });
    failCall(store, "create");
    assertEquals((await client.open("/")).text, "the error page");
    await wrote.promise;
  });

  it("is answered by onError where next is deaf", async () => {
    const { client, store } = await serve(
      (session, response) => {
        write(session);
        response.end("written");
      },
      {
        onError(error, request, response) {
          response.statusCode = 503;
          response.end(`${request.url}: ${(error as Error).name}`);
        },
      },
    );
    failCall(store, "create");
    const page = await client.open("/here");
    assertEquals([page.status, page.text], [503, "/here: SessionError"]);
  });

  it("is a bare 500 when whoever handles the error throws", async () => {
    const { client, store } = await serve(
      (session, response) => {
        write(session);
        response.end("written");
      },
      {
        onError() {
          throw new Error("no page for this error");
        },
      },
    );
    failCall(store, "create");
    const page = await client.open("/");
    assertEquals([page.status, page.text, page.cookies], [500, "", []]);
  });
});

describe("an answer whose session is stored at once", () => {
  const atOnce = (store: Provider) => store;

  it("goes out without being held", async () => {
    const held: boolean[] = [];
    const { client } = await serve(
      (session, response) => {
        if (session.isNew) write(session);
        response.writeHead(201, { "x-own": "yes" });
        response.write("one ");
        held.push(Object.hasOwn(response, "headersSent"));
        response.end("two");
      },
      undefined,
      atOnce,
    );
    await client.open("/");
    const { status, text, headers } = await client.open("/");
    assertEquals([status, text], [201, "one two"]);
    assertEquals(headers.get("x-own"), "yes");
    assertMatch(headers.get("vary") ?? "", /cookie/i);
    assertEquals(held, [true, false]);
  });

  it("is dropped all the same when that fails", async () => {
    const { client, store } = await serve(
      (session, response) => {
        write(session);
        response.end("written");
      },
      undefined,
      atOnce,
    );
    failCall(store, "create");
    const page = await client.open("/");
    assertEquals([page.text, page.cookies], ["the error page", []]);
  });

  it("is dropped when its session was committed by hand", async () => {
    const { client } = await serve(
      (session, response, manager) => {
        manager.commit(session, new Response());
        response.end("written");
      },
      undefined,
      atOnce,
    );
    assertEquals((await client.open("/")).text, "the error page");
  });
});

describe("a request of node:http", () => {
  const headers = { host: "example.test:8080" };

  it("is told by scheme, host and path", () => {
    const plain = { method: "GET", url: "/a?b", headers };
    assertEquals(requestOf(plain).url, "http://example.test:8080/a?b");
    const secure = { ...plain, socket: { encrypted: true } };
    assertEquals(requestOf(secure).url, "https://example.test:8080/a?b");
    const http2 = { ...secure, headers: { ":authority": "h2.test" } };
    assertEquals(requestOf(http2).url, "https://h2.test/a?b");
  });

  it("keeps its whole path in a nested router", () => {
    const nested = { url: "/b", originalUrl: "/a/b", headers };
    assertEquals(requestOf(nested).url, "http://example.test:8080/a/b");
  });

  it("has a URL although its target is no path", () => {
    for (const url of ["*", "http://other.test/", undefined]) {
      const request = requestOf({ url, headers });
      assertEquals(request.url, "http://example.test:8080/");
    }
    assert(URL.canParse(requestOf({ headers: {} }).url));
  });

  it("has headers of its own only", () => {
    const request = requestOf({ headers: { "x-two": ["a", "b"] } });
    assertEquals(request.headers.get("X-Two"), "a,b");
    assertEquals(request.headers.get("constructor"), null);
    assertEquals(request.headers.get("cookie"), null);
  });

  it("is the same each time it is asked for", () => {
    const incoming = { headers };
    assert(requestOf(incoming) === requestOf(incoming));
    assertMatch(requestOf(incoming).method, /^GET$/);
  });
});
