/** The frame of every page. */
import { farewellOf, refusedId } from "./farewell.ts";
import { countOf } from "./goods.ts";
import { withToken } from "./forms.ts";
import { type Html, html } from "./html.ts";
import { panelHtml } from "./panel.ts";
import type { Notice, Visit } from "./visit.ts";

/** What a page shows between head and foot. */
export interface Content {
  readonly title: string;
  readonly main: Html;
}

/**
 * Nothing from elsewhere, no script and no style in the page itself, and no frame
 * around it.
 */
const POLICY = [
  "default-src 'none'",
  "style-src 'self'",
  "script-src 'self'",
  "img-src 'self'",
  "connect-src 'self'",
  "form-action 'self'",
  "base-uri 'none'",
  "frame-ancestors 'none'",
].join("; ");

/** A page for the visitor, with the message that is due. */
export function page(visit: Visit, { title, main }: Content): Response {
  const notice = noticeOf(visit);
  const frame = html`
    <!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8">
        <meta name="viewport" content="width=device-width">
        <meta name="color-scheme" content="light dark">
        <title>${title} · Cloakroom</title>
        <link rel="icon" href="/icon.svg">
        <link rel="stylesheet" href="/shop.css">
        <script src="/panel.js" defer></script>
      </head>
      <body>
      <a class="skip" href="#main">Skip to the shop</a>
      ${header(visit)}
      <div class="floor">
        <main id="main">
          ${notice && noticeHtml(notice)}
          ${main}
        </main>
        ${panelHtml(visit)}
      </div>
      <footer>
        <p>A demonstration of @cloakroom/session. Nothing is sold here.</p>
      </footer>
      </body>
    </html>
  `;
  return new Response(withToken(frame, visit.session), {
    headers: {
      "content-type": "text/html; charset=utf-8",
      // Keeps the back button from showing the account after sign-out.
      "cache-control": "no-store",
      "content-security-policy": POLICY,
      "referrer-policy": "same-origin",
      "x-content-type-options": "nosniff",
    },
  });
}

function noticeOf(visit: Visit): Notice | undefined {
  const { session, shop } = visit;
  const farewell = farewellOf(visit);
  if (farewell === undefined) return session.take("notice");
  const id = refusedId(shop);
  if (id === undefined || !shop.thefts.has(id)) return farewell;
  session.set("story", id);
  return { ...farewell, more: "/theft" };
}

const NOTICE_WORDS: Readonly<Record<Notice["tone"], string>> = {
  success: "Done",
  error: "Sorry",
  info: "Note",
};

function noticeHtml({ tone, text, more }: Notice): Html {
  const role = tone === "error" ? "alert" : "status";
  return html`<p class="notice ${tone}" role="${role}">
    <b>${NOTICE_WORDS[tone]}</b> <span>${text}${
    more !== undefined && html`
      <a href="${more}">What happened</a>
    `
  }</span></p>`;
}

function header({ session, url }: Visit): Html {
  const count = countOf(session.get("cart") ?? {});
  const link = (path: string, text: Html) =>
    html`
      <a href="${path}" ${url.pathname === path && html`
        aria-current="page"
      `}>${text}</a>
    `;
  const things = count > 0 && html`
    <span class="count">${count}
      <span class="unseen">${count === 1 ? "thing" : "things"}</span></span>
  `;
  return html`
    <header class="bar">
      <a class="brand" href="/">${TAG}<span>Cloakroom</span></a>
      <nav aria-label="Shop">
          ${link("/", html`Shop`)}
          ${link("/cart", html`Cart${things}`)}
          ${session.principal === undefined
            ? link("/sign-in", html`Sign in`)
            : link("/devices", html`${session.principal}`)}
        </nav>
    </header>
  `;
}

/** A numbered tag on its string. */
const TAG = html`
  <svg viewBox="0 0 32 32" aria-hidden="true">
    <path class="string" d="M11 11C9 5 14 1 18 4" />
    <path class="paper"
      d="M5 13 13 7l15 9a3 3 0 0 1 1 4l-5 8a3 3 0 0 1-4 1L5 20z" />
    <circle class="hole" cx="11" cy="14" r="2.2" />
  </svg>
`;
