/** Signing in and out, and giving the password again. */
import { type Html, html } from "./html.ts";
import { form, redirect } from "./forms.ts";
import { page } from "./layout.ts";
import type { Visit } from "./visit.ts";

/** The users of the demonstration. Real passwords are kept as slow hashes. */
const USERS: ReadonlyMap<string, string> = new Map([
  ["ada", "engine"],
  ["grace", "compiler"],
]);

/** 30 days, in seconds. */
const MONTH = 30 * 24 * 3600;

/** Where a sign-in may lead. Any other address would be an open redirect. */
const AFTER: ReadonlySet<string> = new Set(["/", "/checkout", "/devices"]);

export function showSignIn(visit: Visit): Response {
  const { session, url } = visit;
  const to = afterSignIn(url.searchParams);
  if (session.principal !== undefined) return redirect(to);
  const name = url.searchParams.get("as") ?? "";
  const fields = html`
    <input type="hidden" name="to" value="${to}">
    <label>Name
      <input name="name" autocomplete="username" required value="${name}"></label>
    ${passwordFields()}
    <label class="check"><input name="remember" type="checkbox">
      <span>Remember me for 30 days</span></label>
    <button class="strong">Sign in</button>
  `;
  const main = html`
    <h1>${to === "/checkout" ? "Sign in to pay" : "Sign in"}</h1>
    ${form("/sign-in", fields, "fields")}
    ${demoUsers()}
  `;
  return page(visit, { title: "Sign in", main });
}

export function signIn({ session, form, request }: Visit): string {
  const name = form.get("name") ?? "";
  const to = afterSignIn(form);
  if (!isPassword(name, form.get("password"))) {
    session.set("notice", { tone: "error", text: "Wrong name or password." });
    return `/sign-in?${new URLSearchParams({ to, as: name })}`;
  }
  session.signIn(name, { label: deviceName(request) });
  if (form.has("remember")) {
    session.lifetime({
      idleTimeout: MONTH,
      absoluteTimeout: MONTH,
      persistent: true,
    });
  }
  session.set("notice", { tone: "success", text: `Welcome, ${name}.` });
  return to;
}

/** The password again: a new secret, and nothing that was copied opens. */
export function confirm({ session, form }: Visit): string {
  const { principal } = session;
  if (principal === undefined) return "/checkout";
  if (isPassword(principal, form.get("password"))) {
    session.regenerate({ reauthenticated: true });
    session.set("notice", { tone: "success", text: "It is you." });
  } else {
    session.set("notice", { tone: "error", text: "Wrong password." });
  }
  return "/checkout";
}

export function signOut({ session, shop }: Visit): string {
  shop.endings.note(session.id, "signed-out");
  session.destroy();
  return "/goodbye";
}

export function showGoodbye(visit: Visit): Response {
  const main = html`
    <h1>Goodbye</h1>
    <p class="lead">You are signed out. The cookie of before opens nothing.</p>
    <p><a class="button strong" href="/">Back to the shop</a></p>
  `;
  return page(visit, { title: "Goodbye", main });
}

/** The field for a password, and its label. */
export function passwordFields(): Html {
  return html`<label>Password
      <input name="password" type="password" required
        autocomplete="current-password"></label>`;
}

function demoUsers(): Html {
  return html`
    <div class="hint">
      <h2>Users of this demonstration</h2>
      <dl>${[...USERS].map(([name, password]) =>
        html`
          <div>
            <dt>${name}</dt>
            <dd>${password}</dd>
          </div>
        `
      )}</dl>
    </div>
  `;
}

function isPassword(name: string, password: string | null): boolean {
  return USERS.get(name) === password && password !== null;
}

function afterSignIn(fields: URLSearchParams): string {
  const to = fields.get("to") ?? "/";
  return AFTER.has(to) ? to : "/";
}

/** What the list calls a device, such as `Chromium on Linux`. */
function deviceName({ headers }: Request): string {
  const agent = (headers.get("user-agent") ?? "")
    .replace("Chrome/", "Chromium/").replace("Edg/", "Edge/");
  const find = (names: string[]) => names.find((name) => agent.includes(name));
  // The order matters: most name Safari too, and Edge also names Chromium.
  const browser = find(["Edge", "Firefox", "Chromium", "Safari", "curl"]);
  const system = find(["Android", "iPhone", "iPad", "Windows", "Mac", "Linux"]);
  return `${browser ?? "A browser"} on ${system ?? "an unknown system"}`;
}
