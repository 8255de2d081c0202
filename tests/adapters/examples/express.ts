import { Manager } from "@cloakroom/session";
import { session, type SessionRequest } from "@cloakroom/session/express";
// @ts-types="npm:@types/express@^5"
import express from "express";

type Data = { visits: number };
declare global {
  namespace Express {
    interface Request extends SessionRequest<Data> {}
  }
}
const app = express().use(session(new Manager<Data>()));
app.get("/", async (req, res) => {
  res.send(`Visit ${await req.session.update("visits", (n = 0) => n + 1)}`);
});

export { app };
