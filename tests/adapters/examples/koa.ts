import { Manager } from "@cloakroom/session";
import { session, type SessionRequest } from "@cloakroom/session/koa";
// @ts-types="npm:@types/koa@^3"
import Koa from "koa";

type Data = { visits: number };
const app = new Koa<Koa.DefaultState, SessionRequest<Data>>();
app.use(session(new Manager<Data>()));
app.use(async (ctx) => {
  ctx.body = `Visit ${await ctx.session.update("visits", (n = 0) => n + 1)}`;
});

export { app };
