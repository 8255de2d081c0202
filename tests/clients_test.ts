/** Tests the examples of clients that are no browser, or that stay connected. */
import {
  assert,
  assertEquals,
  assertMatch,
  assertNotEquals,
  assertStringIncludes,
} from "@std/assert";
import { FakeTime } from "@std/testing/time";
import { describe, it } from "node:test";
import * as events from "../examples/events.ts";
import { makeApi, makePages } from "../examples/rendering.ts";
import * as stream from "../examples/stream.ts";
import * as websocket from "../examples/websocket.ts";
import { DEFAULT_RENEW_INTERVAL } from "../mod.ts";
import { MemoryProvider } from "../providers/memory.ts";
import { Clock, Jar, type Target } from "../testing.ts";
import { failCall } from "./_providers.ts";
import { serve } from "./_server.ts";

const POST = { method: "POST" };
const FOREIGN = { ...POST, headers: { "sec-fetch-site": "cross-site" } };

/** A browser whose user is signed in by the example's own form. */
async function signedIn(target: Target, clock = new Clock()): Promise<Jar> {
  const jar = new Jar(target, { now: clock.now, redirect: "follow" });
  await (await jar.fetch("/sign-in", POST)).text();
  assert(jar.cookies().length === 1);
  return jar;
}

async function textAt(jar: Jar, path: string): Promise<string> {
  return await (await jar.fetch(path)).text();
}

describe("a server that renders for the user", () => {
  it("keeps the user signed in through renewals", async () => {
    const clock = new Clock();
    const jar = await signedIn(makePages(makeApi({ now: clock.now })), clock);
    for (let page = 2; page < 12; page++) {
      const before = jar.header();
      clock.advance(DEFAULT_RENEW_INTERVAL);
      assertStringIncludes(await textAt(jar, "/"), `Page ${page + 1}`);
      assertNotEquals(jar.header(), before);
    }
  });

  it("would sign the user out if it dropped what the API sets", async () => {
    const clock = new Clock();
    const api = makeApi({ now: clock.now });
    const jar = await signedIn(makePages(api), clock);
    const deaf = new Jar(
      makePages(async (request) => {
        const answer = await api(request);
        answer.headers.delete("set-cookie");
        return answer;
      }),
      { now: clock.now },
    );
    deaf.add(jar.cookies());
    for (let page = 0; page < 4; page++) {
      clock.advance(DEFAULT_RENEW_INTERVAL);
      await textAt(deaf, "/");
    }
    assertStringIncludes(await textAt(deaf, "/"), "Sign in");
  });

  it("has pages that no cache keeps, and a sign-out that reaches the browser", async () => {
    const jar = await signedIn(makePages(makeApi()));
    const home = await jar.fetch("/");
    assertMatch(home.headers.get("vary") ?? "", /cookie/i);
    const old = jar.cookies();
    const out = await jar.fetch("/sign-out", { ...POST, redirect: "manual" });
    assertEquals(out.headers.get("cache-control"), "no-store");
    assertEquals(jar.cookies(), []);
    jar.add(old);
    assertStringIncludes(await textAt(jar, "/"), "Sign in");
  });

  it("passes on what tells another site's form from its own", async () => {
    const jar = await signedIn(makePages(makeApi()));
    assertEquals((await jar.fetch("/sign-out", FOREIGN)).status, 403);
    const origins = [["https://evil.test", 403], [
      "http://localhost:8000",
      200,
    ]];
    for (const [origin, status] of origins) {
      const init = { ...POST, headers: { origin: String(origin) } };
      assertEquals((await jar.fetch("/sign-in", init)).status, status);
    }
    assertStringIncludes(await textAt(jar, "/"), "Hello, ada");
  });
});

/** What a socket says next: a message, or the code with which it closes. */
function nextOf(socket: WebSocket): Promise<string | number> {
  return new Promise((resolve) => {
    socket.onmessage = ({ data }) => resolve(String(data));
    socket.onclose = ({ code }) => resolve(code);
  });
}

/** The example's server, and a socket that a signed-in user has opened. */
async function openSocket(clock = new Clock()) {
  const provider = new MemoryProvider();
  const { fetch, websocket: sockets } = websocket.makeServer({
    provider,
    now: clock.now,
  });
  const server = serve(fetch, sockets);
  const jar = await signedIn(server.url, clock);
  const socket = await connect(server.url, jar);
  const ask = (text: string) => {
    const next = nextOf(socket);
    socket.send(text);
    return next;
  };
  const close = async () => {
    socket.close();
    await server.close();
  };
  return { provider, jar, ask, clock, [Symbol.asyncDispose]: close };
}

async function connect(url: string, jar: Jar): Promise<WebSocket> {
  // Browsers take no headers here; Deno and Bun do.
  const headers = { cookie: jar.header() ?? "" };
  const socket = new (WebSocket as unknown as {
    new (url: string, options: object): WebSocket;
  })(`${url.replace("http", "ws")}/socket`, { headers });
  await new Promise((resolve) => socket.onopen = resolve);
  return socket;
}

describe("a WebSocket", () => {
  it("writes into the session of its handshake", async () => {
    await using opened = await openSocket();
    assertEquals(await opened.ask("hello"), "1: hello");
    assertEquals(await opened.ask("again"), "2: again");
  });

  it("closes at the first message after a sign-out elsewhere", async () => {
    await using opened = await openSocket();
    assertEquals(await opened.ask("hello"), "1: hello");
    await (await opened.jar.fetch("/sign-out", POST)).text();
    assertEquals(await opened.ask("again"), 4401);
  });

  it("closes at the first message after a timeout", async () => {
    await using opened = await openSocket();
    opened.clock.advance(3600);
    assertEquals(await opened.ask("hello"), 4401);
  });

  it("goes on through a renewal, and is asked to show its cookie after one", async () => {
    await using opened = await openSocket();
    opened.clock.advance(DEFAULT_RENEW_INTERVAL - 1);
    assertEquals(await opened.ask("hello"), "1: hello");
    opened.clock.advance(1);
    assertEquals(await opened.ask("again"), 4000);
  });

  it("closes when the store fails, and the process goes on", async () => {
    await using opened = await openSocket();
    failCall(opened.provider, "read");
    assertEquals(await opened.ask("hello"), 1011);
  });

  it("is opened neither for a visitor, nor by another site's page", async () => {
    const { fetch } = websocket.makeServer();
    assertEquals((await new Jar(fetch).fetch("/socket")).status, 401);
    const jar = await signedIn(fetch);
    assertEquals((await jar.fetch("/socket")).status, 426);
    const headers = { upgrade: "websocket", origin: "https://evil.test" };
    assertEquals((await jar.fetch("/socket", { headers })).status, 403);
  });
});

/** Reads a stream piece by piece. */
function readerOf({ body }: Response) {
  assert(body !== null);
  const reader = body.getReader();
  const decoder = new TextDecoder();
  return {
    next: async () => {
      const { value } = await reader.read();
      return value === undefined ? undefined : decoder.decode(value);
    },
    cancel: () => reader.cancel(),
  };
}

/** The example's server, and a stream that a signed-in user has opened. */
async function openEvents(clock = new Clock()) {
  const provider = new MemoryProvider();
  const server = events.makeServer({ provider, now: clock.now, gcInterval: 0 });
  const jar = await signedIn(server.fetch, clock);
  const answer = await jar.fetch("/events");
  assertEquals(answer.headers.get("content-type"), "text/event-stream");
  const reader = readerOf(answer);
  assertEquals(await reader.next(), "data: Welcome\n\n");
  const say = (body: string) => jar.fetch("/say", { ...POST, body });
  return { ...server, provider, jar, reader, say, clock };
}

describe("server-sent events", () => {
  it("tell each stream, in one line", async () => {
    const { reader, jar, fetch, say } = await openEvents();
    const other = new Jar(fetch);
    other.add(jar.cookies());
    const second = readerOf(await other.fetch("/events"));
    await second.next();
    await say("a\n\nevent: forged");
    for (const { next } of [reader, second]) {
      assertEquals(await next(), 'data: "a\\n\\nevent: forged"\n\n');
    }
    await Promise.all([reader.cancel(), second.cancel()]);
  });

  it("end with the session, before anything more is told", async () => {
    const { reader, manager, fetch, listeners } = await openEvents();
    await manager.destroyAll("ada");
    const other = await signedIn(fetch);
    await other.fetch("/say", { ...POST, body: "secret" });
    assertEquals(await reader.next(), undefined);
    assertEquals(listeners.size, 0);
  });

  it("end with the session although nobody says anything", async () => {
    const time = new FakeTime();
    try {
      const { reader, manager, listeners } = await openEvents();
      time.tick(15_000);
      assertEquals(await reader.next(), ":\n\n");
      await manager.destroyAll("ada");
      time.tick(15_000);
      assertEquals(await reader.next(), undefined);
      assertEquals(listeners.size, 0);
    } finally {
      time.restore();
    }
  });

  it("end so that the browser shows its cookie again, and when the store fails", async () => {
    const opened = await openEvents();
    opened.clock.advance(DEFAULT_RENEW_INTERVAL);
    await opened.say("hello");
    assertEquals(await opened.reader.next(), undefined);
    const failing = await openEvents();
    const [tell] = failing.listeners;
    failCall(failing.provider, "read");
    await tell?.("data: secret\n\n");
    assertEquals(await failing.reader.next(), undefined);
  });

  it("keep nobody signed in, and are for nobody else", async () => {
    const { reader, jar, fetch, clock } = await openEvents();
    assertEquals((await new Jar(fetch).fetch("/events")).status, 401);
    clock.advance(3599);
    const again = await jar.fetch("/events");
    assertEquals(again.status, 200);
    await Promise.all([again.body?.cancel(), reader.cancel()]);
    clock.advance(1);
    assertEquals((await jar.fetch("/events")).status, 401);
  });

  it("are forgotten when the browser goes away", async () => {
    const { reader, listeners } = await openEvents();
    assertEquals(listeners.size, 1);
    await reader.cancel();
    assertEquals(listeners.size, 0);
  });
});

describe("a stream that updates late", () => {
  it("writes into the session while it is sent", async () => {
    const jar = await signedIn(stream.makeServer().fetch);
    const reader = readerOf(await jar.fetch("/report"));
    assertEquals(await reader.next(), "Row 1\n");
    assertEquals(await reader.next(), "Row 2\n");
    assertStringIncludes(await textAt(jar, "/"), "2 of 5 rows sent");
    while (await reader.next() !== undefined);
    assertStringIncludes(await textAt(jar, "/"), "5 of 5 rows sent");
  });

  it("ends when the session does, and brings nothing back", async () => {
    const { fetch, manager } = stream.makeServer();
    const jar = await signedIn(fetch);
    const reader = readerOf(await jar.fetch("/report"));
    assertEquals(await reader.next(), "Row 1\n");
    await (await jar.fetch("/sign-out", POST)).text();
    assertEquals(await reader.next(), "Signed out\n");
    assertEquals(await reader.next(), undefined);
    assertEquals(await manager.list("ada"), []);
  });

  it("stops working when the browser goes away", async () => {
    const jar = await signedIn(stream.makeServer().fetch);
    const reader = readerOf(await jar.fetch("/report"));
    await reader.next();
    await reader.cancel();
    assertStringIncludes(await textAt(jar, "/"), "1 of 5 rows sent");
  });
});
