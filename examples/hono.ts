/**
 * Notes that last as long as a sign-in, with Hono: its routes find the session
 * in `c.env`.
 * `deno serve examples/hono.ts` or `bun examples/hono.ts`.
 *
 * @module
 */
import { Manager, type Session } from "@cloakroom/session";
import { Hono } from "hono";
import { bodyLimit } from "hono/body-limit";
import { HTTPException } from "hono/http-exception";

interface Data {
  notes: string[];
}

const manager = new Manager<Data>();
const app = new Hono<{ Bindings: { session: Session<Data> } }>();

app.use(bodyLimit({ maxSize: 1000 }));

app.get("/", (c) => c.text(useOf(new URL(c.req.url).host)));

app.post("/sign-in", async (c) => {
  const { name, password } = await c.req.parseBody();
  // For this demonstration only: real passwords are kept as slow hashes.
  if (name !== "ada" || password !== "engine") {
    return c.text("No such user, or another password\n", 401);
  }
  c.env.session.signIn(name, { label: c.req.header("user-agent") ?? "" });
  return c.text(`Welcome, ${name}\n`);
});

app.post("/sign-out", (c) => {
  c.env.session.destroy();
  return c.text("Signed out\n");
});

app.use("/notes/*", async (c, next) => {
  if (c.env.session.principal !== undefined) return await next();
  return c.text("Please sign in\n", 401);
});

app.get("/notes", (c) => c.json(c.env.session.get("notes") ?? []));

app.post("/notes", async (c) => {
  const note = await c.req.text();
  const notes = await c.env.session.update(
    "notes",
    (notes = []) => [...notes, note].slice(-20),
  );
  return c.json(notes, 201);
});

// An answer of Hono's own would go out with what the route set in the session
// before it failed. Thrown on, that is dropped; what `update` wrote stays.
app.onError((error) => {
  if (error instanceof HTTPException) return error.getResponse();
  throw error;
});

export default {
  fetch: manager.handle((request, session) => app.fetch(request, { session })),
};

/** It has no pages: a client with a cookie jar, such as curl, uses it. */
function useOf(host: string): string {
  return `curl -c jar -b jar -d 'name=ada&password=engine' ${host}/sign-in
curl -c jar -b jar -d 'Buy a coat' ${host}/notes
curl -c jar -b jar ${host}/notes
curl -c jar -b jar -X POST ${host}/sign-out
`;
}
