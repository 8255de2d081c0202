/**
 * Signing in, messages shown once, and a list of the devices that are signed
 * in, on pages that need no script.
 *
 * Run it with `deno serve --allow-env examples/signin.ts` or
 * `bun examples/signin.ts`, and open http://localhost:8000/ in two browsers.
 * Sessions are kept in memory, or where `SESSION_STORE` says: see `store.ts`.
 * With `SESSION_DEVICE_BOUND=1` they are bound to the device, in browsers that
 * can, and by HTTPS.
 *
 * @module
 */
import { Manager, type Session, type SessionInfo } from "@cloakroom/session";
import process from "node:process";
import { openStore } from "./store.ts";

type Data = { message: string };
type Visit = Session<Data>;

const isDeviceBound = process.env.SESSION_DEVICE_BOUND === "1";

const manager = new Manager<Data>({
  provider: await openStore(),
  deviceBound: isDeviceBound ? {} : undefined,
});

/** What the forms do. */
const ACTIONS = new Map([
  ["/sign-in", signIn],
  ["/sign-out", signOut],
  ["/sign-out-device", signOutDevice],
  ["/sign-out-others", signOutOthers],
]);

export default {
  hostname: "localhost",
  port: 8000,
  fetch: manager.handle(async (request, session) => {
    const { pathname } = new URL(request.url);
    const action = ACTIONS.get(pathname);
    if (action === undefined && pathname !== "/") {
      return new Response("Not found", { status: 404 });
    }
    const allow = action === undefined ? "GET, HEAD" : "POST";
    if (!allow.split(", ").includes(request.method)) {
      return new Response("Wrong method", { status: 405, headers: { allow } });
    }
    if (action === undefined) return showHome(session);
    // Forms of other sites never get here. The token in the form shows that it
    // came from a page of this very session.
    const form = new URLSearchParams(await request.text());
    if (session.checkFormToken(form.get("form-token"))) {
      await action(session, form, request);
    } else {
      session.set("message", "The page was out of date. Please try again.");
    }
    // Reloading the page that follows does not send the form again.
    return new Response(null, { status: 303, headers: { location: "/" } });
  }),
};

async function showHome(session: Visit) {
  const message = session.take("message");
  // Stores the session of a new visitor, who needs its cookie to send the form.
  // Leave it out where visitors are many and those who sign in are few.
  const token = session.formToken();
  const { principal, authenticatedAt } = session;
  if (principal === undefined || authenticatedAt === undefined) {
    // The browser may have been kept from proving its device: by trying again,
    // it comes back in.
    const again = session.isUnproven
      ? `<p>This device could not be proved. <a href="/">Try again</a>,
         or sign in.</p>`
      : "";
    return page(message, again + signInForm(token));
  }
  const devices = await manager.list(principal, { current: session });
  const greeting = `
  <header><h1>Hello, ${escapeHtml(principal)}</h1>
    ${htmlForm("/sign-out", token, "<button>Sign out</button>")}</header>
  <p>You signed in on ${time(authenticatedAt)}.</p>`;
  return page(message, greeting + deviceList(devices, token));
}

function signIn(session: Visit, form: URLSearchParams, request: Request) {
  const name = form.get("name") ?? "";
  if (!isDemoPassword(name, form.get("password") ?? "")) {
    return session.set("message", "Wrong name or password.");
  }
  session.signIn(name, { label: deviceName(request) });
  if (form.has("remember")) {
    const month = 30 * 24 * 3600;
    session.lifetime({
      idleTimeout: month,
      absoluteTimeout: month,
      persistent: true,
    });
  }
  session.set("message", "You are signed in.");
}

function signOut(session: Visit) {
  session.destroy();
}

async function signOutDevice(session: Visit, form: URLSearchParams) {
  const { principal } = session;
  if (principal === undefined) return;
  // Whatever id comes in, with the principal it ends one's own sessions only.
  const id = form.get("id") ?? "";
  const wasThere = await manager.destroy(id, { principal });
  session.set("message", wasThere ? "Device signed out." : "No such device.");
}

async function signOutOthers(session: Visit) {
  const { principal } = session;
  if (principal === undefined) return;
  await manager.destroyAll(principal, { except: session });
  session.set("message", "All other devices signed out.");
}

/** For this demonstration only: real passwords are kept as slow hashes. */
function isDemoPassword(name: string, password: string) {
  return name === "ada" && password === "engine" ||
    name === "grace" && password === "compiler";
}

/** What the list calls a device, such as `Chromium on Linux`. */
function deviceName({ headers }: Request) {
  const agent = (headers.get("user-agent") ?? "")
    .replace("Chrome/", "Chromium/").replace("Edg/", "Edge/");
  const find = (names: string[]) => names.find((name) => agent.includes(name));
  // The order matters: most name Safari too, and Edge also names Chromium.
  const browser = find(["Edge", "Firefox", "Chromium", "Safari", "curl"]);
  const system = find(["Android", "iPhone", "iPad", "Windows", "Mac", "Linux"]);
  return `${browser ?? "A browser"} on ${system ?? "an unknown system"}`;
}

function signInForm(token: string) {
  const fields = `
    <label>Name <input name="name" autocomplete="username" required></label>
    <label>Password <input name="password" type="password"
      autocomplete="current-password" required></label>
    <p><input name="remember" type="checkbox" id="remember">
      <label for="remember">Remember me for 30 days</label></p>
    <button>Sign in</button>`;
  return `
  <h1>Sign in</h1>
  ${htmlForm("/sign-in", token, fields)}
  <p><small>Try <b>ada</b> with the password <b>engine</b>,
    or <b>grace</b> with <b>compiler</b>.</small></p>`;
}

function deviceList(devices: SessionInfo[], token: string) {
  const others = `
    <button class="quiet">Sign out all other devices</button>`;
  return `
  <h2>Signed-in devices</h2>
  <ul>${devices.map((device) => deviceItem(device, token)).join("")}</ul>
  ${htmlForm("/sign-out-others", token, others)}`;
}

function deviceItem(device: SessionInfo, token: string) {
  const { id, isCurrent, createdAt, authenticatedAt, accessedAt } = device;
  const bound = device.isDeviceBound ? "<br>Bound to a key of its own" : "";
  const name = escapeHtml(device.label ?? "A device");
  const button = `
      <button class="quiet" name="id" value="${id}"
        aria-label="Sign out ${name}">Sign out</button>`;
  return `
  <li>
    <p><b>${name}</b><br>
      <small>Signed in ${time(authenticatedAt ?? createdAt)}<br>
      Last seen ${isCurrent ? "now" : time(accessedAt)}${bound}</small></p>
    ${
    isCurrent
      ? "<em>This device</em>"
      : htmlForm("/sign-out-device", token, button)
  }
  </li>`;
}

/** A form that only this session's pages can send. */
function htmlForm(action: string, token: string, fields: string) {
  return `<form method="post" action="${action}">
    <input type="hidden" name="form-token" value="${token}">${fields}
  </form>`;
}

function time(instant: number) {
  const iso = new Date(instant).toISOString();
  const text = iso.slice(0, 16).replace("T", " ");
  return `<time datetime="${iso}">${text} UTC</time>`;
}

function escapeHtml(text: string) {
  return text.replace(/[&<>"']/g, (mark) => `&#${mark.charCodeAt(0)};`);
}

function page(message: string | undefined, content: string) {
  const status = message && `<p role="status">${escapeHtml(message)}</p>`;
  const html = `<!doctype html>
<html lang="en">
<meta name="viewport" content="width=device-width">
<title>Cloakroom</title>
<link rel="icon" href="data:,">
<style>
  html { color-scheme: light dark; font: 1em/1.5 system-ui, sans-serif }
  body { margin: 10vh auto; max-width: 27em; padding: 0 1em }
  header, li { align-items: center; display: flex; gap: 1em }
  h1, li p { flex: 1; margin: .5em 0 }
  ul { list-style: none; padding: 0 }
  li { border-top: 1px solid #8886 }
  label input { display: block; margin-bottom: 1em; width: 100% }
  input, button { border: 1px solid #888; border-radius: .3em;
    box-sizing: border-box; font: inherit; padding: .4em .8em }
  button { background: #a4482a; color: #fff }
  .quiet { background: none; color: inherit }
  [role=status] { background: #a4482a22; border-left: .3em solid #a4482a;
    padding: .5em 1em }
</style>
${status ?? ""}${content}
`;
  const headers = {
    "content-type": "text/html; charset=utf-8",
    // Keeps the back button from showing the account after sign-out.
    "cache-control": "no-store",
    "content-security-policy": "frame-ancestors 'none'",
  };
  return new Response(html, { headers });
}
