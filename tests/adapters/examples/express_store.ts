import { expressStore } from "@cloakroom/session/express-store";
import { MemoryProvider } from "@cloakroom/session/memory";
// @ts-types="npm:@types/express@^5"
import express from "express";
import session from "express-session";

const store = expressStore(new MemoryProvider(), { Store: session.Store });
const app = express();
app.use(
  session({
    store,
    secret: "keyboard cat",
    resave: false,
    saveUninitialized: false,
  }),
);

export { app };
