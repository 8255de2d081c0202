/** Runs the three steps of docs/express-store.md on a Redis server of its own. */
import { assert, assertEquals } from "@std/assert";
import { readFileSync } from "node:fs";
import { createServer, type RequestListener, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import process from "node:process";
import { after, describe, it } from "node:test";
import { missingRedis, RedisServer } from "./_redis_server.ts";
import { Client } from "./adapters/_client.ts";

const STEPS = ["before", "first_step", "second_step", "third_step"] as const;

/** What a step exports for its test. */
interface Program {
  readonly app: RequestListener;
  readonly client: { destroy(): void };
  readonly manager?: { close(): Promise<void> };
}

const missing = missingRedis();
if (missing !== undefined) {
  console.log(`Tests of the steps from connect-redis are skipped: ${missing}`);
}

function readText(path: string): string {
  return readFileSync(new URL(`../${path}`, import.meta.url), "utf8");
}

/** A step that is served. */
class Running implements AsyncDisposable {
  readonly #program: Program;
  readonly #server: Server;

  private constructor(program: Program) {
    this.#program = program;
    this.#server = createServer(program.app);
  }

  static async start(step: string): Promise<Running> {
    const running = new Running(await import(pathOf(step)));
    const server = running.#server;
    await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
    return running;
  }

  /** The same browser, wherever the site has moved. */
  browse(browser?: Client): Client {
    const { port } = this.#server.address() as AddressInfo;
    const client = new Client(`http://127.0.0.1:${port}`);
    return browser === undefined ? client : client.withCookiesOf(browser);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
    await this.#program.manager?.close();
    this.#program.client.destroy();
  }
}

/** Worked out at run time: these programs have no types. */
function pathOf(step: string): string {
  return new URL(`./adapters/examples/migration/${step}.js`, import.meta.url)
    .href;
}

describe("the page on express-session", () => {
  for (const step of STEPS) {
    it(`prints ${step} as it is run here`, () => {
      const [code = ""] = readText(
        `tests/adapters/examples/migration/${step}.js`,
      )
        .split("\nexport {");
      assert(readText("docs/express-store.md").includes(code.trim()), step);
    });
  }
});

describe(
  "the steps from connect-redis",
  { skip: missing !== undefined },
  () => {
    let redis: RedisServer | undefined;

    after(() => redis?.kill());

    it("sign nobody out, and lose nothing", async () => {
      redis = await RedisServer.start();
      process.env.REDIS_URL = redis.url;
      let [ada, bob] = [new Client(""), new Client("")];
      {
        await using before = await Running.start("before");
        [ada, bob] = [before.browse(), before.browse()];
        await ada.open("/sign-in", { method: "POST" });
        assertEquals((await ada.open("/")).text, "ada: visit 1");
        await bob.open("/sign-in", { method: "POST" });
      }
      {
        await using first = await Running.start("first_step");
        [ada, bob] = [first.browse(ada), first.browse(bob)];
        assertEquals((await ada.open("/")).text, "ada: visit 2");
        await bob.open("/");
        await bob.open("/sign-out", { method: "POST" });
        assertEquals((await bob.open("/")).text, "undefined: visit 1");
      }
      {
        await using second = await Running.start("second_step");
        ada = second.browse(ada);
        const page = await ada.open("/");
        assertEquals([page.text, page.cookies.length], ["ada: visit 3", 1]);
        assertEquals(ada.names, ["__Host-id"]);
        assertEquals((await ada.open("/")).text, "ada: visit 4");
      }
      {
        await using third = await Running.start("third_step");
        ada = third.browse(ada);
        assertEquals((await ada.open("/")).text, "ada: visit 5");
        await ada.open("/sign-out", { method: "POST" });
        assertEquals((await ada.open("/")).text, "undefined: visit 1");
      }
    });
  },
);
