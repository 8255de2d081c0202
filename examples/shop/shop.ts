/** Puts the shop together: the manager, the pages, and what the forms do. */
import {
  Manager,
  type ManagerOptions,
  open,
  type Provider,
  type Session,
  SessionError,
  type SessionEvent,
} from "@cloakroom/session";
import {
  confirm,
  showGoodbye,
  showSignIn,
  signIn,
  signOut,
} from "./account.ts";
import { assetOf } from "./assets.ts";
import { addToCart, changeCart, showCatalogue } from "./catalogue.ts";
import { pay, showCart, showCheckout, showOrder } from "./checkout.ts";
import {
  showDevices,
  showInvite,
  signOutDevice,
  signOutOthers,
} from "./devices.ts";
import { Endings } from "./endings.ts";
import { farewellOf } from "./farewell.ts";
import { redirect } from "./forms.ts";
import { openStream } from "./panel.ts";
import { Thefts } from "./theft.ts";
import { playTheft, showTheft } from "./theft_page.ts";
import type { Action, Data, Shop, View, Visit } from "./visit.ts";
import { type Trace, Watch } from "./watch.ts";

/** How the shop works. */
export interface ShopOptions {
  /**
   * Where the sessions are kept.
   *
   * @default {open("memory:")}
   */
  readonly provider?: Provider | undefined;
  /**
   * The clock, in milliseconds since the Unix epoch.
   *
   * @default {() => Date.now()}
   */
  readonly now?: (() => number) | undefined;
  /**
   * Waits so many seconds.
   *
   * @default {setTimeout}
   */
  readonly wait?: ((seconds: number) => Promise<void>) | undefined;
}

/** Much shorter than the defaults, so that a visitor can watch; in seconds. */
const PACE = { renewInterval: 60, renewGrace: 5, touchInterval: 10 };

const OPTIONS = {
  ...PACE,
  idleTimeout: 600,
  absoluteTimeout: 4 * 3600,
  maxSessions: 5,
  // The panel opens its stream by itself: that keeps nobody signed in.
  isUse: ({ url }) => new URL(url).pathname !== "/events",
} satisfies ManagerOptions;

const VIEWS: ReadonlyMap<string, View> = new Map<string, View>([
  ["/", showCatalogue],
  ["/cart", showCart],
  ["/checkout", showCheckout],
  ["/order", showOrder],
  ["/sign-in", showSignIn],
  ["/goodbye", showGoodbye],
  ["/devices", showDevices],
  ["/invite", showInvite],
  ["/theft", showTheft],
  ["/events", openStream],
]);

const ACTIONS: ReadonlyMap<string, Action> = new Map<string, Action>([
  ["/cart/add", addToCart],
  ["/cart/change", changeCart],
  ["/pay", pay],
  ["/sign-in", signIn],
  ["/confirm", confirm],
  ["/sign-out", signOut],
  ["/devices/sign-out", signOutDevice],
  ["/devices/sign-out-others", signOutOthers],
  ["/renew", renew],
  ["/theft", playTheft],
]);

/** The shop's handler of requests, and its manager. */
export function makeShop(options: ShopOptions = {}) {
  const { now = () => Date.now(), wait = pause } = options;
  const { provider = open("memory:") } = options;
  const watch = new Watch(now);
  const endings = new Endings();
  const manager = new Manager<Data>({
    ...OPTIONS,
    provider: watch.over(provider),
    now,
    onEvent: (event) => {
      watch.hear(event);
      remember(event, endings);
    },
  });
  const answer = (request: Request, client: Trace["client"]) =>
    watch.run(request, client, () => handler(request));
  const thefts = new Thefts({
    answer: (request) => answer(request, "thief"),
    wait,
    isCopied: (id) => endings.isCopied(id),
    grace: PACE.renewGrace,
  });
  const shop: Shop = {
    ...{ manager, provider, pace: PACE, watch, endings, thefts, now },
  };
  const handler = manager.handle((request, session) =>
    respond(shop, request, session)
  );
  const fetch = async (request: Request): Promise<Response> =>
    assetOf(request) ?? (await answer(request, "browser")).response;
  return { fetch, manager };
}

async function respond(
  shop: Shop,
  request: Request,
  session: Session<Data>,
): Promise<Response> {
  const url = new URL(request.url);
  const view = VIEWS.get(url.pathname);
  const action = ACTIONS.get(url.pathname);
  const visit = { shop, request, url, session, form: new URLSearchParams() };
  if (view === undefined && action === undefined) {
    return new Response("Not found", { status: 404 });
  }
  shop.watch.meet(session.principal);
  if (request.method === "POST" && action !== undefined) {
    const form = new URLSearchParams(await request.text());
    const location = await act({ ...visit, form }, action);
    shop.watch.meet(session.principal);
    return redirect(location);
  }
  const isRead = request.method === "GET" || request.method === "HEAD";
  if (isRead && view !== undefined) return await view(visit);
  const allow = [view && "GET, HEAD", action && "POST"].filter(Boolean);
  return new Response("Wrong method", {
    status: 405,
    headers: { allow: allow.join(", ") },
  });
}

/** Does what a form asks for, if it came from a page of this session. */
async function act(visit: Visit, action: Action): Promise<string> {
  const { session, form } = visit;
  if (!session.checkFormToken(form.get("form-token"))) {
    const old = "The page was out of date. Please try again.";
    const notice = farewellOf(visit) ?? { tone: "error", text: old };
    session.set("notice", notice);
    return "/";
  }
  try {
    return await action(visit);
  } catch (error) {
    const isGone = error instanceof SessionError && error.code === "gone";
    // It ended while the form was on its way. The next page says so.
    if (isGone) return "/";
    throw error;
  }
}

/** Replaces the secret now, unless that was done a moment ago. */
function renew({ session, form }: Visit): string {
  session.regenerate();
  const back = form.get("back") ?? "/";
  return VIEWS.has(back) && back !== "/events" ? back : "/";
}

function remember(event: SessionEvent, endings: Endings): void {
  if (event.type === "reused") endings.note(event.id, "copied");
  if (event.type === "evicted") endings.note(event.id, "evicted");
}

function pause(seconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, seconds * 1000));
}
