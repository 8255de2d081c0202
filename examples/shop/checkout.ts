/** The cart, and paying for it. */
import { REMOVED } from "@cloakroom/session";
import { passwordFields } from "./account.ts";
import { type Cart, type CartLine, countOf, linesOf, sumOf } from "./goods.ts";
import { type Html, html } from "./html.ts";
import { form, money, redirect } from "./forms.ts";
import { page } from "./layout.ts";
import type { Visit } from "./visit.ts";

/** How long ago the password may have been given, in seconds, to pay. */
const FRESH = 60;

export function showCart(visit: Visit): Response {
  const cart = visit.session.get("cart") ?? {};
  const isEmpty = countOf(cart) === 0;
  const main = html`
    <h1>Your cart</h1>
    ${isEmpty ? nothing() : filled(cart)}
  `;
  return page(visit, { title: "Your cart", main });
}

export function showCheckout(visit: Visit): Response {
  const { session } = visit;
  const cart = session.get("cart") ?? {};
  if (countOf(cart) === 0) return redirect("/cart");
  if (session.principal === undefined) {
    return redirect("/sign-in?to=/checkout");
  }
  const main = session.isFresh(FRESH) ? payment(cart) : stepUp();
  return page(visit, { title: "Pay", main });
}

/** Two tabs that pay at the same moment pay once: one of them takes the cart. */
export async function pay({ session }: Visit): Promise<string> {
  const { principal } = session;
  if (principal === undefined || !session.isFresh(FRESH)) return "/checkout";
  let cart: Cart = {};
  await session.update("cart", (stored) => {
    cart = stored ?? {};
    return REMOVED;
  });
  if (countOf(cart) === 0) return "/cart";
  const number = String(crypto.getRandomValues(new Uint16Array(1))[0]);
  session.set("order", {
    number: number.padStart(5, "0"),
    sum: sumOf(cart),
    cart,
  });
  session.set("notice", { tone: "success", text: "Paid, with no money." });
  return "/order";
}

export function showOrder(visit: Visit): Response {
  const order = visit.session.get("order");
  if (order === undefined) return redirect("/");
  const main = html`
    <h1>Your coats are waiting</h1>
    <div class="ticket slip yellow">
      <p class="number">${order.number}</p>
      <div class="stub">
        <p>Bring this number to the counter.</p>
        <ul class="plain">${linesOf(order.cart).map(({ good, count }) =>
          html`<li>${count} × ${good.name}</li>`
        )}</ul>
        <p class="price">${money(order.sum)}</p>
      </div>
    </div>
    <p><a class="button strong" href="/">Back to the shop</a></p>
  `;
  return page(visit, { title: "Paid", main });
}

function nothing(): Html {
  return html`
    <p class="lead">Nothing hangs here yet.</p>
    <p><a class="button strong" href="/">Look around</a></p>
  `;
}

function filled(cart: Cart): Html {
  return html`
    <ul class="lines">${linesOf(cart).map(lineHtml)}</ul>
    <div class="sum">
      <p>In all <b>${money(sumOf(cart))}</b></p>
      <a class="button strong" href="/checkout">Check out</a>
    </div>
  `;
}

function lineHtml({ good, count }: CartLine): Html {
  const button = (step: string, sign: string, text: string) =>
    html`
      <button class="round" name="step" value="${step}"
        aria-label="${text}: ${good.name}">${sign}</button>
    `;
  const fields = html`<input type="hidden" name="good" value="${good.id}">
      ${button("less", "−", "One less")}
      <b class="amount">${count}</b>
      ${button("more", "+", "One more")}`;
  return html`
    <li class="line ${good.paper}">
      ${good.drawing}
      <p><b>${good.name}</b><br>${money(good.price)}</p>
      ${form("/cart/change", fields)}
    </li>
  `;
}

function payment(cart: Cart): Html {
  const button = html`
    <button class="strong">Pay ${money(sumOf(cart))}</button>
  `;
  return html`
    <h1>Pay</h1>
    <ul class="plain bill">${linesOf(cart).map(({ good, count }) =>
      html`<li><span>${count} × ${good.name}</span>
        <span>${money(count * good.price)}</span></li>`
    )}</ul>
    ${form("/pay", button)}
    <p class="hint">You gave your password less than a minute ago, so the shop
      does not ask again.</p>
  `;
}

/** Asks for the password again before something delicate. */
function stepUp(): Html {
  const fields = html`
    ${passwordFields()}
    <button class="strong">Go on to pay</button>
  `;
  return html`
    <h1>Is it still you?</h1>
    <p
      class="lead">You signed in more than a minute ago. Before you pay, please give
      your password again.</p>
    ${form("/confirm", fields, "fields")}
  `;
}
