import { Manager } from "@cloakroom/session";
import { session, type SessionRequest } from "@cloakroom/session/fastify";
import { fastify } from "fastify";

type Data = { visits: number };
declare module "fastify" {
  interface FastifyRequest extends SessionRequest<Data> {}
}
const app = fastify();
await app.register(session(new Manager<Data>()));
app.get(
  "/",
  async ({ session }) =>
    `Visit ${await session.update("visits", (n = 0) => n + 1)}`,
);

export { app };
