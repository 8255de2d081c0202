/** The page on which the theft is told. */
import { form } from "./forms.ts";
import { type Html, html } from "./html.ts";
import { page } from "./layout.ts";
import type { Scene, Stage } from "./theft.ts";
import type { Visit } from "./visit.ts";

interface Story {
  readonly scenes: readonly Scene[];
  readonly stage: Stage;
}

export async function playTheft(visit: Visit): Promise<string> {
  const { session, shop, request } = visit;
  session.delete("story");
  await shop.thefts.begin(session.id, request);
  return "/theft";
}

export async function showTheft(visit: Visit): Promise<Response> {
  const { session, shop } = visit;
  const id = session.get("story") ?? session.id;
  if (session.has("story")) await shop.thefts.end(id);
  const story = shop.thefts.look(id);
  const main = html`
    <h1>A stolen cookie</h1>
    ${story === undefined ? before() : told(story)}
  `;
  return page(visit, { title: "A stolen cookie", main });
}

function before(): Html {
  const button = html`
    <button class="strong">Let Mallory copy my cookie</button>
  `;
  return html`
    <p
      class="lead">Mallory is a second client on the server. She gets a copy of your
      cookie and uses the shop with it, as you.</p>
    <p>The copy works at first: two equal cookies look like one. But a secret is
      replaced from time to time, and only one of you gets the new one. Whoever
      comes with the old one gives the copy away.</p>
    ${form("/theft", button)}
  `;
}

function told({ scenes, stage }: Story): Html {
  const { you, mallory, next } = STAGES[stage];
  return html`
    <div class="pair">
      ${slip("Yours", "yellow", you)}
      ${slip("Mallory’s", "pink", mallory)}
    </div>
    <ol class="scenes">${scenes.map(({ who, text }) =>
      html`<li class="${who === "Mallory" ? "thief" : "shop"}">
        <b>${who}</b> ${text}</li>`
    )}</ol>
    ${next}
  `;
}

/** A cookie that somebody holds. */
interface Held {
  readonly number: 1 | 2;
  readonly text: string;
  readonly isVoid?: boolean;
}

function slip(
  whose: string,
  paper: string,
  { number, text, isVoid }: Held,
): Html {
  return html`
    <div class="ticket ${isVoid ? "void" : paper}">
      <p class="number">${number}</p>
      <div class="stub">
        <h2>${whose}</h2>
        <p>${text}</p>
      </div>
    </div>
  `;
}

/** What each of the two holds, and what the visitor can do next. */
const STAGES: Readonly<
  Record<Stage, { you: Held; mallory: Held; next: Html }>
> = {
  waiting: {
    you: { number: 1, text: "opens your session." },
    mallory: { number: 1, text: "opens it as well." },
    next: html`<p><a class="button strong" href="/theft">Look again</a></p>`,
  },
  ahead: {
    you: { number: 1, text: "was replaced, and works a few seconds more." },
    mallory: { number: 2, text: "opens your session." },
    next: html`
      <p class="lead">Now it is your turn. Wait five seconds, then go on as if nothing
        had happened.</p>
      <p><a class="button strong" href="/cart">Open my cart</a></p>
    `,
  },
  over: {
    you: { number: 1, text: "opens nothing.", isVoid: true },
    mallory: { number: 2, text: "opens nothing.", isVoid: true },
    next: html`
      <p class="lead">Who of you is the thief, no server can tell. But only you have
        the password, and can begin anew.</p>
      <p><a class="button strong" href="/sign-in">Sign in</a></p>
    `,
  },
};
