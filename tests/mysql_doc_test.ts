/** Runs the first program of docs/mysql.md as a new user would, on a MariaDB. */
import { assertEquals, assertStringIncludes } from "@std/assert";
import { execFile } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { MysqlProvider } from "../providers/mysql.ts";
import { MariaServer, missing } from "./_mariadb_server.ts";

const ON_BUN = "Bun" in globalThis;

/** Visits twice with what the first visit was given. */
const VISITS = `import app from "./app.ts";
const first = await app.fetch(new Request("http://localhost/"));
const cookie = first.headers.getSetCookie()[0].split(";")[0];
const headers = { cookie };
const second = await app.fetch(new Request("http://localhost/", { headers }));
console.log(await first.text(), await second.text());
process.exit(0);
`;

function pathOf(file: string): string {
  return fileURLToPath(new URL(`../${file}`, import.meta.url));
}

const page = readFileSync(pathOf("docs/mysql.md"), "utf8");

/** Runs a program of the page in the folder of the package, which has mysql2. */
function run(app: string): Promise<string> {
  const folder = mkdtempSync(
    ON_BUN ? pathOf("tests/mysql-doc-") : join(tmpdir(), "mysql-doc-"),
  );
  writeFileSync(join(folder, "app.ts"), app);
  const visits = join(folder, "visits.ts");
  writeFileSync(visits, `import process from "node:process";\n${VISITS}`);
  const config = ["--config", pathOf("deno.offline.json")];
  const args = ON_BUN ? [visits] : [
    "run",
    "--quiet",
    "-A",
    "--no-check",
    "--node-modules-dir=auto",
    ...config,
    visits,
  ];
  return new Promise((resolve) => {
    const env = { ...process.env, NO_COLOR: "1" };
    execFile(process.execPath, args, { env }, (_error, out, err) => {
      rmSync(folder, { recursive: true });
      resolve(out + err);
    });
  });
}

describe("the page on MySQL", () => {
  it("has the table as it is made", () => {
    assertStringIncludes(page, `\n${MysqlProvider.schema()}\n`);
  });

  it(
    "has a program that works",
    { skip: missing ?? false, timeout: 60_000 },
    async () => {
      const [, app = ""] = /```ts ignore\n([\s\S]*?)```/.exec(page) ?? [];
      const server = await MariaServer.start();
      try {
        const url = "mysql://ada:secret@localhost/shop";
        assertStringIncludes(app, url);
        const printed = await run(app.replace(url, server.url()));
        assertEquals(printed.trim(), "Visit 1 Visit 2");
      } finally {
        await server.stop();
      }
    },
  );
});
