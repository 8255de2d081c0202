/**
 * A stolen cookie on one page: how it is copied, used, found out, and dead.
 *
 * Run it with `deno serve examples/theft.ts` or `bun examples/theft.ts`, and
 * open http://localhost:8000/. Each visit plays the stories anew: requests to a
 * manager whose clock jumps from one step to the next. In the second act the
 * session is bound to Ada's device.
 *
 * @module
 */
import {
  Manager,
  type ManagerOptions,
  type Session,
  type SessionEvent,
} from "@cloakroom/session";

type Person = "Ada" | "Mallory";
type Deed = "sign in" | "copy" | "open" | "register" | "prove";

/** The first is when it happens, in seconds from the start. */
type Step = readonly [at: number, who: Person, does: Deed, text: string];

/** What a step came to. */
interface Scene {
  readonly step: Step;
  /** The cookie that went with the request. */
  readonly sent: string | undefined;
  /** The cookie that came with the response, or from the other's browser. */
  readonly got: string | undefined;
  /** What the page said, if one was asked for. */
  readonly saw: string | undefined;
  readonly events: readonly SessionEvent[];
  /** The cookie that each of the two holds now. */
  readonly held: ReadonlyMap<Person, string>;
  /** The cookies that the server has sent so far, in order. */
  readonly cookies: readonly string[];
  /** The ids of the sessions in which Ada is signed in now. */
  readonly live: readonly string[];
  /** The scene before this one. */
  readonly before: Scene | undefined;
}

const ADA_FIRST: readonly Step[] = [
  [0, "Ada", "sign in", "signs in."],
  [60, "Mallory", "copy", "copies the cookie, say from a stolen backup."],
  [90, "Mallory", "open", "is in: so far, two equal cookies look like one."],
  [905, "Ada", "open", "is first after 15 minutes, and gets a new cookie."],
  [920, "Ada", "open", "uses it. The old one has 30 seconds left from here."],
  [
    930,
    "Mallory",
    "open",
    "gets in with it, as a late request of Ada’s would.",
  ],
  [951, "Mallory", "open", "tries it again. It is a copy: the session ends."],
  [960, "Ada", "open", "is out too. Who is the thief, no server can tell."],
  [990, "Ada", "sign in", "can sign in again. Mallory has no password."],
  [1000, "Mallory", "open", "is left with a cookie that opens nothing."],
  [1010, "Ada", "open", "goes on, in a session that nobody shares."],
];

const MALLORY_FIRST: readonly Step[] = [
  [0, "Ada", "sign in", "signs in."],
  [60, "Mallory", "copy", "copies the cookie, and waits."],
  [905, "Mallory", "open", "is first after 15 minutes, and gets a new cookie."],
  [920, "Mallory", "open", "uses it. Ada’s has 30 seconds left from here."],
  [930, "Ada", "open", "is still in with the old one, and notices nothing."],
  [951, "Ada", "open", "comes with it again. It is a copy: the session ends."],
  [960, "Mallory", "open", "is out too: the new cookie was of that session."],
  [990, "Ada", "sign in", "can sign in again. Mallory has no password."],
  [1000, "Mallory", "open", "is left with a cookie that opens nothing."],
  [1010, "Ada", "open", "goes on, in a session that nobody shares."],
];

const BOUND: readonly Step[] = [
  [0, "Ada", "sign in", "signs in, and is offered to register a key."],
  [1, "Ada", "register", "has a browser that does: it gets a second cookie."],
  [5, "Ada", "open", "uses it. In 30 seconds nobody gets in without it."],
  [60, "Mallory", "copy", "copies both cookies, say from a stolen backup."],
  [90, "Mallory", "open", "is in: so far, two equal copies look like one."],
  [600, "Ada", "prove", "has a browser that proves its key, unasked."],
  [605, "Ada", "open", "is in, and notices nothing of all this."],
  [629, "Mallory", "open", "is in for the last time."],
  [630, "Mallory", "open", "is out: the copy has run out, and has no key."],
  [1200, "Ada", "prove", "has a browser that goes on doing so."],
  [1205, "Ada", "open", "is still in, in the session that she began."],
];

/** Where Ada's browser posts its key and its proofs. */
const PATH = "/device-bound-session";

export default {
  hostname: "localhost",
  port: 8000,
  fetch: async (request: Request): Promise<Response> => {
    if (new URL(request.url).pathname !== "/") {
      return new Response("Not found", { status: 404 });
    }
    return page(
      story("When Ada comes back first", await play(ADA_FIRST)) +
        story("When the thief comes back first", await play(MALLORY_FIRST)) +
        story(
          "When the session is bound to Ada’s device",
          await play(BOUND, { deviceBound: {} }),
        ),
    );
  },
};

/** Plays a story against a manager of its own. */
async function play(
  steps: readonly Step[],
  options: ManagerOptions = {},
): Promise<Scene[]> {
  let seconds = 0;
  const events: SessionEvent[] = [];
  await using manager = new Manager({
    renewInterval: 900, // both as they are by default
    renewGrace: 30,
    now: () => seconds * 1000,
    gcInterval: 0,
    onEvent: (event) => events.push(event),
    ...options,
  });
  const site = manager.handle(account);
  const key = await makeKey();
  const held = new Map<Person, string>();
  const cookies = new Set<string>();
  const scenes: Scene[] = [];
  for (const step of steps) {
    seconds = step[0];
    const result = step[2] === "copy" ? copy(held) : await send(step, {
      site,
      key,
      cookie: held.get(step[1]),
    });
    if (result.got !== undefined) {
      held.set(step[1], result.got);
      cookies.add(result.got);
    }
    scenes.push({
      step,
      ...result,
      before: scenes.at(-1),
      events: events.splice(0),
      held: new Map(held),
      cookies: [...cookies],
      live: (await manager.list("ada")).map(({ id }) => id),
    });
  }
  return scenes;
}

/** The site that both of them visit. */
function account({ method }: Request, session: Session) {
  if (method === "POST") session.signIn("ada");
  const { principal } = session;
  return new Response(principal ? "Welcome, Ada" : "Please sign in");
}

function copy(held: ReadonlyMap<Person, string>) {
  return { sent: undefined, got: held.get("Ada"), saw: undefined };
}

/** Sends what a browser would send. */
async function send([, , does]: Step, { site, key, cookie }: {
  readonly site: (request: Request) => Promise<Response>;
  readonly key: Key;
  readonly cookie: string | undefined;
}) {
  const isForDevice = does === "register" || does === "prove";
  const headers = new Headers(isForDevice ? await key.sign(does) : {});
  if (cookie !== undefined) headers.set("cookie", cookie);
  const url = `https://example.org${isForDevice ? PATH : "/"}`;
  const method = does === "open" ? "GET" : "POST";
  const response = await site(new Request(url, { method, headers }));
  key.challenge(response);
  const got = withCookies(cookie, response);
  const text = await response.text();
  return { sent: cookie, got, saw: isForDevice ? undefined : text };
}

/** The header `Cookie` from now on, if an answer changes it. */
function withCookies(cookie: string | undefined, response: Response) {
  const pairs = response.headers.getSetCookie()
    .filter((line) => !line.includes("Max-Age=0"))
    .map((line) => line.split(";")[0] as string);
  if (pairs.length === 0) return undefined;
  const names = pairs.map((pair) => pair.slice(0, pair.indexOf("=") + 1));
  const kept = (cookie?.split("; ") ?? [])
    .filter((pair) => !names.some((name) => pair.startsWith(name)));
  return [...kept, ...pairs].join("; ");
}

/** What Ada's browser signs with a key that never leaves her machine. */
interface Key {
  /** Remembers what the server wants to have signed next. */
  challenge(response: Response): void;
  /** The headers of a request that registers or proves it. */
  sign(what: "register" | "prove"): Promise<Record<string, string>>;
}

async function makeKey(): Promise<Key> {
  const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
  const pair = await crypto.subtle.generateKey(algorithm, true, ["sign"]);
  const { kty, crv, x, y } = await crypto.subtle.exportKey(
    "jwk",
    pair.publicKey,
  );
  let challenge = "";
  return {
    challenge({ headers }) {
      const offer = headers.get("secure-session-registration");
      const next = headers.get("secure-session-challenge");
      const found = /challenge="([^"]+)"/.exec(offer ?? "") ??
        /^"([^"]+)"/.exec(next ?? "");
      challenge = found?.[1] ?? challenge;
    },
    async sign(what) {
      const isNew = what === "register";
      const jwk = isNew ? { jwk: { kty, crv, x, y } } : {};
      const head = encode(
        JSON.stringify({ alg: "ES256", typ: "dbsc+jwt", ...jwk }),
      );
      const signed = `${head}.${encode(JSON.stringify({ jti: challenge }))}`;
      const signature = await crypto.subtle.sign(
        algorithm,
        pair.privateKey,
        new TextEncoder().encode(signed),
      );
      const bytes = String.fromCharCode(...new Uint8Array(signature));
      const proof = `${signed}.${encode(bytes)}`;
      const [id = ""] = challenge.split(".");
      return {
        "secure-session-response": proof,
        ...(isNew ? {} : { "sec-secure-session-id": id }),
      };
    },
  };
}

/** In base64url. */
function encode(binary: string) {
  return btoa(binary)
    .replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

function story(title: string, scenes: readonly Scene[]) {
  return `
<h2>${title}</h2>
<table>
  <thead><tr><th scope="col">Time<th scope="col">Ada, the owner
    <th scope="col">Mallory, the thief<th scope="col">Server events
  <tbody>${scenes.map(row).join("")}
</table>
<p>${outcome(scenes)}</p>`;
}

function row(scene: Scene) {
  const { step, events } = scene;
  return `
  <tr${isFoundOut(scene) ? ' class="found"' : ""}>
    <th scope="row">${clock(step[0])}
    ${cell("Ada", scene)}
    ${cell("Mallory", scene)}
    <td>${events.map(eventText).join("<br>") || "–"}`;
}

/** What one of the two does in a scene, or the cookie that they hold. */
function cell(person: Person, scene: Scene) {
  const { step: [, who, , text], sent, saw, got, held, before } = scene;
  if (who !== person) {
    const cookie = held.get(person);
    const holds = cookie === undefined ? "–" : ticket(cookie, scene);
    return `<td class="idle" data-who="${person}">${holds}`;
  }
  const parts = [
    // In the state that it was sent in.
    sent && `sends ${ticket(sent, before ?? scene)}`,
    saw && `sees <samp class="${isWelcome(saw) ? "in" : ""}">${saw}</samp>`,
    got && `gets ${ticket(got, scene)}`,
  ];
  const list = parts.filter(Boolean).map((part) => `<li>${part}`).join("");
  return `<td><b>${person}</b> ${text}<ul>${list}</ul>`;
}

function isWelcome(text: string) {
  return text.startsWith("Welcome");
}

/** A cookie by a number, its state, and a few characters of id and secret. */
function ticket(
  cookie: string,
  { cookies, live }: Scene,
) {
  const number = cookies.indexOf(cookie) + 1;
  const [token = ""] = cookie.split("=")[1]?.split(";") ?? [];
  const isLive = live.includes(token.slice(0, 24));
  const state = isLive ? (cookie === cookies.at(-1) ? "" : "replaced") : "dead";
  return `<span class="ticket c${number} ${state}">cookie ${number}
      <code>${token.slice(0, 4)}…${token.slice(-4)}</code> ${state}</span>`;
}

function eventText(event: SessionEvent) {
  if (event.type === "refused") return `<code>refused</code> ${event.reason}`;
  if (event.type !== "reused") return `<code>${event.type}</code>`;
  return `<strong><code>reused</code></strong> Ada can be warned`;
}

function outcome(scenes: readonly Scene[]) {
  const isBound = scenes.some(({ step }) => step[2] === "register");
  const copied = scenes.find(({ step }) => step[2] === "copy");
  const found = scenes.find(isFoundOut);
  const from = isBound ? 0 : copied?.step[0] ?? NaN;
  const seconds = (found?.step[0] ?? NaN) - from;
  return isBound
    ? `From Ada’s last proof to the end of the copy: ${clock(seconds)}.
       Her session goes on.`
    : `From copy to discovery: ${clock(seconds)}.`;
}

function isFoundOut({ events }: Scene) {
  return events.some((event) =>
    event.type === "reused" ||
    (event.type === "refused" && event.reason === "unproven")
  );
}

/** Minutes and seconds. */
function clock(seconds: number) {
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
}

function page(content: string) {
  const html = `<!doctype html>
<html lang="en">
<meta name="viewport" content="width=device-width">
<title>The stolen cookie</title>
<link rel="icon" href="data:,">
<style>
  html { color-scheme: light dark; font: 1em/1.4 system-ui, sans-serif;
    --line: #8885; --accent: #a4482a }
  body { margin: 2em auto; max-width: 66em; padding: 0 1em }
  h2 { margin: 1.6em 0 .4em }
  table { border-collapse: collapse; table-layout: fixed; width: 100% }
  th, td { border-top: 1px solid #8885; padding: .5em .7em; text-align: left;
    vertical-align: top }
  th:first-child { font-variant-numeric: tabular-nums; width: 3em }
  th:last-child { width: 12em }
  ul { list-style: none; margin: .2em 0 0; padding: 0 }
  .idle { opacity: .6 }
  .found { background: #a4482a22; box-shadow: inset .3em 0 #a4482a }
  samp { background: #8883; border-radius: .3em; font: inherit;
    padding: 0 .4em }
  samp.in { background: #2a8a4a44 }
  .ticket { border-left: .5em solid; padding-left: .4em; white-space: nowrap }
  .c1 { border-color: #3a78c9 } .c2 { border-color: #d08a1e }
  .c3 { border-color: #2a8a4a }
  .dead code { text-decoration: line-through }
  @media (max-width: 45em) {
    thead { display: none }
    tr, tr > * { display: block }
    tr { border-top: 1px solid #8885; padding: .4em .7em }
    tr > * { border: 0; padding: .1em 0 }
    .idle::before { content: attr(data-who) ": " }
  }
</style>
<h1>The stolen cookie</h1>
<p>Ada is signed in. Mallory has a copy of her cookie, which shows the same
  welcome to both. The first request after 15 minutes gets a new cookie; as soon
  as that one is used, the old one has 30 seconds left. So of two who hold the
  same cookie, one is left behind, and who comes with a cookie that was replaced
  gives the copy away. Each cookie is the session’s id, which stays, and a secret,
  which changes; here you see four characters of each. All of it is
  played anew for this page, by a manager whose clock jumps.</p>
<p>In the last story the manager has <code>deviceBound: {}</code>, and Ada a
  browser that can keep a key in her machine. A number stands for both cookies
  then: the one that says which session it is, and the one that says that it is
  her device, for ten and a half minutes after each proof.</p>
${content}
<h2>What this does not do</h2>
<p>Until then the thief can do what Ada can: ask for the password again before
  anything delicate, see <code>session.isFresh</code>. And if Ada never comes
  back, nobody shows the old cookie: then the timeouts end the session.</p>
`;
  const headers = {
    "content-type": "text/html; charset=utf-8",
    "cache-control": "no-store",
    "content-security-policy":
      "default-src 'none'; img-src data:; style-src 'unsafe-inline'",
  };
  return new Response(html, { headers });
}
