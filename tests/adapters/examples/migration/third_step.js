import { Manager } from "@cloakroom/session";
import { session } from "@cloakroom/session/express";
import { RedisProvider } from "@cloakroom/session/redis";
import express from "express";
import process from "node:process";
import { createClient } from "redis";

const client = await createClient({ url: process.env.REDIS_URL }).connect();
const manager = new Manager({ provider: new RedisProvider(client) });

const app = express();
app.use(session(manager));

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
