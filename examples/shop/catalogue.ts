/** What the shop has, and the form that puts it into the cart. */
import {
  type Cart,
  countOf,
  type Good,
  goodOf,
  GOODS,
  sumOf,
} from "./goods.ts";
import { type Html, html } from "./html.ts";
import { form, money } from "./forms.ts";
import { page } from "./layout.ts";
import type { Visit } from "./visit.ts";

/** The most of one good in a cart. */
const MOST = 9;

export function showCatalogue(visit: Visit): Response {
  const cart = visit.session.get("cart") ?? {};
  const main = html`
    <div class="intro">
      <div>
        <h1>Six things for bad weather</h1>
        <p>Every click is a session at work.
          Open a second tab and fill the cart from both: nothing is lost.</p>
      </div>
      ${countOf(cart) > 0 && toCart(cart)}
    </div>
    <ul class="rack">${GOODS.map(tile)}</ul>
  `;
  return page(visit, { title: "Shop", main });
}

/** Puts one more into the cart. Two tabs at the same moment both count. */
export async function addToCart({ session, form }: Visit): Promise<string> {
  const good = goodOf(form.get("good"));
  if (good === undefined) return "/";
  await changeCount(session, good, 1);
  const text = `In your cart: ${good.name}.`;
  session.set("notice", { tone: "success", text });
  return "/";
}

/** Puts one more of a good on a line of the cart, or takes one away. */
export async function changeCart({ session, form }: Visit): Promise<string> {
  const good = goodOf(form.get("good"));
  const step = form.get("step") === "more" ? 1 : -1;
  if (good !== undefined) await changeCount(session, good, step);
  return "/cart";
}

function changeCount(
  session: Visit["session"],
  { id }: Good,
  step: number,
): Promise<unknown> {
  return session.update("cart", (cart = {}) => {
    const count = Math.min(MOST, Math.max(0, (cart[id] ?? 0) + step));
    return { ...cart, [id]: count };
  });
}

function toCart(cart: Cart): Html {
  const count = countOf(cart);
  return html`<a class="button strong" href="/cart">
    To the cart <small>${count} ${count === 1 ? "thing" : "things"},
    ${money(sumOf(cart))}</small></a>`;
}

function tile({ id, name, price, number, paper, drawing }: Good): Html {
  const button = html`
    <button name="good"
      value="${id}">Add<span class="unseen"> ${name}</span>
      <span class="wide"> to cart</span></button>
  `;
  return html`
    <li class="ticket ${paper}">
      <p class="number">${number}</p>
      ${drawing}
      <div class="stub">
        <h2>${name}</h2>
        <p class="price">${money(price)}</p>
        ${form("/cart/add", button)}
      </div>
    </li>
  `;
}
