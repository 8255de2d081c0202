/** The devices on which a user is signed in. */
import type { SessionInfo } from "@cloakroom/session";
import { type Html, html } from "./html.ts";
import { form, redirect } from "./forms.ts";
import { page } from "./layout.ts";
import type { Visit } from "./visit.ts";

export async function showDevices(visit: Visit): Promise<Response> {
  const { session, shop } = visit;
  const { principal } = session;
  if (principal === undefined) return redirect("/sign-in?to=/devices");
  const devices = await shop.manager.list(principal, { current: session });
  // This one first; the others stay in the order of their last use.
  devices.sort((a, b) => Number(b.isCurrent) - Number(a.isCurrent));
  const others = html`<button>Sign out all others</button>`;
  const main = html`
    <h1>Hello, ${principal}</h1>
    <h2>Your devices</h2>
    <ul class="lines">${devices.map((device) =>
      deviceItem(device, shop.now())
    )}</ul>
    <div class="sum">
      ${devices.length > 1
        ? form("/devices/sign-out-others", others)
        : html`<p class="lead">Only this one.
        <a href="/invite">Open a second browser</a></p>`}
      ${form("/sign-out", html`<button class="strong">Sign out here</button>`)}
    </div>
  `;
  return page(visit, { title: "Your devices", main });
}

export async function signOutDevice(
  { session, shop, form }: Visit,
): Promise<string> {
  const { principal } = session;
  if (principal === undefined) return "/sign-in";
  // Whatever id comes in, with the principal it ends one's own sessions only.
  const id = form.get("id") ?? "";
  const wasThere = await shop.manager.destroy(id, { principal });
  if (wasThere) shop.endings.note(id, "elsewhere");
  session.set(
    "notice",
    wasThere
      ? { tone: "success", text: "The device is signed out." }
      : { tone: "error", text: "There is no such device." },
  );
  return "/devices";
}

export async function signOutOthers(
  { session, shop }: Visit,
): Promise<string> {
  const { principal } = session;
  if (principal === undefined) return "/sign-in";
  const devices = await shop.manager.list(principal, { current: session });
  await shop.manager.destroyAll(principal, { except: session });
  for (const { id, isCurrent } of devices) {
    if (!isCurrent) shop.endings.note(id, "elsewhere");
  }
  const text = "All other devices are signed out.";
  session.set("notice", { tone: "success", text });
  return "/devices";
}

/** How to open a second browser, which shares no cookie with this one. */
export function showInvite(visit: Visit): Response {
  const { principal } = visit.session;
  const query = principal === undefined
    ? ""
    : `?${new URLSearchParams({ to: "/devices", as: principal })}`;
  const address = new URL(`/sign-in${query}`, visit.url).href;
  const main = html`
    <h1>Bring a second browser</h1>
    <ol class="steps">
      <li>Copy this address.
        <label class="address"><span class="unseen">Address</span>
          <input readonly value="${address}"></label></li>
      <li>Open it in a private window, or in another browser.</li>
      <li>Sign in there as ${principal ?? "ada"} too.</li>
      <li>Come back: both devices are on the list, and each can sign out the
        other.</li>
    </ol>
    <p><a class="button strong" href="/devices">Show my devices</a></p>
  `;
  return page(visit, { title: "A second browser", main });
}

function deviceItem(device: SessionInfo, now: number): Html {
  const { id, isCurrent, createdAt, authenticatedAt, accessedAt } = device;
  const name = device.label ?? "A device";
  const button = html`
    <button name="id" value="${id}"
      aria-label="Sign out ${name}">Sign out</button>
  `;
  return html`
    <li class="line ${isCurrent && "current"}">
      <p><b>${name}</b><br>
        ${isCurrent
          ? "In use now"
          : html`Last seen ${ago(accessedAt, now)}`}, signed in ${ago(
            authenticatedAt ?? createdAt,
            now,
          )}</p>
      ${isCurrent
        ? html`<p class="badge">This device</p>`
        : form("/devices/sign-out", button)}
    </li>
  `;
}

const UNITS: readonly (readonly [seconds: number, name: string])[] = [
  [24 * 3600, "day"],
  [3600, "hour"],
  [60, "minute"],
];

/** Such as `2 minutes ago`. */
function ago(instant: number, now: number): Html {
  const seconds = (now - instant) / 1000;
  const [size, name] = UNITS.find(([size]) => seconds >= size) ?? [];
  const count = Math.floor(seconds / (size ?? 1));
  const text = size === undefined
    ? "just now"
    : `${count} ${name}${count === 1 ? "" : "s"} ago`;
  return html`<time datetime="${
    new Date(instant).toISOString()
  }">${text}</time>`;
}
