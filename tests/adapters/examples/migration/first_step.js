import { expressStore } from "@cloakroom/session/express-store";
import { RedisProvider } from "@cloakroom/session/redis";
import { RedisStore } from "connect-redis";
import express from "express";
import session from "express-session";
import process from "node:process";
import { createClient } from "redis";

const client = await createClient({ url: process.env.REDIS_URL }).connect();
const store = expressStore(new RedisProvider(client), {
  Store: session.Store,
  previous: new RedisStore({ client }),
  principal: ({ user }) => user,
});

const app = express();
app.use(session({
  store,
  secret: "keyboard cat",
  resave: false,
  saveUninitialized: false,
}));

// Everything else stays as it is.
app.post("/sign-in", (req, res) => {
  req.session.user = "ada";
  res.send("Welcome");
});
app.get("/", (req, res) => {
  req.session.visits = (req.session.visits ?? 0) + 1;
  res.send(`${req.session.user}: visit ${req.session.visits}`);
});
app.post("/sign-out", (req, res) => {
  req.session.destroy(() => res.send("Goodbye"));
});

export { app, client };
