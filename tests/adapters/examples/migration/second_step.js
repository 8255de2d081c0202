import { Manager } from "@cloakroom/session";
import { session } from "@cloakroom/session/express";
import { expressStore } from "@cloakroom/session/express-store";
import { RedisProvider } from "@cloakroom/session/redis";
import express from "express";
import process from "node:process";
import { createClient } from "redis";

const client = await createClient({ url: process.env.REDIS_URL }).connect();
const provider = new RedisProvider(client);
const manager = new Manager({ provider });
const store = expressStore(provider);

const app = express();
app.use(session(manager));
app.use(async (req, res, next) => {
  const old = req.session.isNew &&
    await store.takeOver(req.headers.cookie, { secret: "keyboard cat" });
  if (old) {
    const { user, ...data } = old;
    for (const key in data) req.session.set(key, data[key]);
    if (user !== undefined) req.session.signIn(user);
    res.clearCookie("connect.sid");
  }
  next();
});

app.post("/sign-in", (req, res) => {
  req.session.signIn("ada");
  res.send("Welcome");
});
app.get("/", async (req, res) => {
  const visits = await req.session.update("visits", (n = 0) => n + 1);
  res.send(`${req.session.principal}: visit ${visits}`);
});
app.post("/sign-out", (req, res) => {
  req.session.destroy();
  res.send("Goodbye");
});

export { app, client, manager };
