/** Runs the first example of adapters as it is printed. */
import { assert, assertEquals } from "@std/assert";
import { readFileSync } from "node:fs";
import { createServer, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { describe, it } from "node:test";
import { app as expressApp } from "./adapters/examples/express.ts";
import { app as storeApp } from "./adapters/examples/express_store.ts";
import { app as fastifyApp } from "./adapters/examples/fastify.ts";
import { app as koaApp } from "./adapters/examples/koa.ts";
import { Client } from "./adapters/_client.ts";

/** The most lines of a first example. */
const MOST_LINES = 10;

/** How to serve what the examples make; answers what stops it. */
const EXAMPLES: Record<string, () => Promise<Served>> = {
  express: () => serve(expressApp),
  express_store: () => {
    storeApp.get("/", (request, response) => {
      const { session } = request as unknown as { session: { n?: number } };
      session.n = (session.n ?? 0) + 1;
      response.send(`Visit ${session.n}`);
    });
    return serve(storeApp);
  },
  koa: () => serve(koaApp.callback()),
  fastify: async () => {
    const url = await fastifyApp.listen({ host: "127.0.0.1", port: 0 });
    return { url, close: () => fastifyApp.close() };
  },
};

interface Served {
  readonly url: string;
  close(): Promise<unknown>;
}

async function serve(listener: RequestListener): Promise<Served> {
  const server = createServer(listener);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  const close = async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  };
  return { url: `http://127.0.0.1:${port}`, close };
}

/** The lines of the first example in a file's doc comment. */
function exampleIn(file: string): string[] {
  const [, block = ""] = /```ts.*\n([^]*?) \* ```/.exec(readText(file)) ?? [];
  return block.split("\n").map((line) => line.replace(/^ \* ?/, ""))
    .filter((line) => line !== "");
}

function readText(path: string): string {
  return readFileSync(new URL(`../${path}`, import.meta.url), "utf8");
}

/** What is left of code when the formatter's choices are taken out. */
function codeOf(text: string): string {
  return text.replace(/\s+/g, "").replace(/[,;](?=[)\]}])/g, "");
}

describe("the first example", () => {
  for (const [name, start] of Object.entries(EXAMPLES)) {
    it(`of ${name} has at most ten lines, and is what is run here`, () => {
      const printed = exampleIn(`adapters/${name}.ts`);
      assert(printed.length > 0 && printed.length <= MOST_LINES);
      const [run] = readText(`tests/adapters/examples/${name}.ts`)
        .split("\nexport {");
      assertEquals(codeOf(printed.join("\n")), codeOf(run ?? ""));
    });

    it(`of ${name} counts visits`, async () => {
      const { url, close } = await start();
      const client = new Client(url);
      const first = await client.open("/");
      const second = await client.open("/");
      await close();
      assertEquals([first.text, second.text], ["Visit 1", "Visit 2"]);
      assertEquals(
        [first, second].map(({ headers }) => headers.getSetCookie().length),
        [1, 0],
      );
    });
  }
});
