// The cart: its state, and the drawer that shows it.

import { get, post, put, remove, uuid, Problem } from "./api.js";
import { h, nameOf, picture, show, toast } from "./dom.js";
import { money } from "./money.js";
import { cartUuid, keepCart } from "./store.js";
import { saidOfLine } from "./views/basket.js";

const drawer = document.querySelector("[data-cart]");
let cart = { items: [], item_count: 0, total_price: 0, currency: "USD" };

export const current = () => cart;

export async function refresh() {
  const known = cartUuid();
  try {
    cart = await get("/cart", { query: { cart_uuid: known } });
  } catch (error) {
    if (!(error instanceof Problem) || error.code !== "cart_not_found") throw error;
    keepCart(null);
    cart = await get("/cart");
  }
  const count = document.querySelector("[data-cart-count]");
  count.textContent = cart.item_count;
  count.classList.toggle("some", cart.item_count > 0);
  document.querySelector("[data-open-cart]").setAttribute("aria-label", `Cart, ${cart.item_count} in it`);
  if (drawer.open) draw();
  return cart;
}

export async function add(variantId, quantity) {
  const body = { product_id: variantId, quantity };
  if (cartUuid()) body.cart_uuid = cartUuid();
  const line = await post("/cart/items", body, { key: uuid() });
  keepCart(line.cart_uuid);
  await refresh();
}

async function setQuantity(line, quantity, place) {
  try {
    if (quantity > 0) await put("/cart/items", { product_id: line.variant_id, quantity, cart_uuid: cartUuid() });
    else await remove("/cart/items", { product_id: line.variant_id, cart_uuid: cartUuid() });
    await refresh();
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    await refresh();
    draw({ line: line.variant_id, text: sayFault(error) });
    return;
  }
  // The drawer was drawn anew: the same button, or where it is gone the title, keeps the focus.
  const button = drawer.querySelector(`[data-place="${place}"]:not(:disabled)`);
  (button ?? drawer.querySelector("h2")).focus();
  toast(quantity > 0 ? `Now ${quantity} of ${line.product_title || line.title}.` : "Taken out of the cart.");
}

export function sayFault(error) {
  if (error.code === "not_enough_stock" && Number.isInteger(error.body.available)) {
    const left = error.body.available;
    return left > 0 ? `We have only ${left} of it.` : "It has just sold out.";
  }
  return error.errors[0]?.message || error.message;
}

function drawLine(line, fault) {
  const name = line.product_title || nameOf(line) || "No longer sold";
  const options = line.variant_title && line.variant_title !== "Default Title" ? line.variant_title : "";
  const step = (label, sign, by) =>
    h("button", {
      type: "button", "aria-label": label, "data-place": `${line.variant_id}${sign}`, className: "nudge",
      onclick: () => setQuantity(line, line.quantity + by, `${line.variant_id}${sign}`),
    }, sign);
  return h("li", { className: "line" },
    h("a", { className: "thumb", href: `#${line.url || "/"}`, tabindex: "-1", "aria-hidden": "true", onclick: close }, picture(line.image, name)),
    h("div", { className: "what" },
      h("a", { href: `#${line.url || "/"}`, onclick: close }, name),
      options && h("p", { className: "soft" }, options),
      saidOfLine(line.warnings, line.variant_id, cart.currency),
      fault && h("p", { className: "fault", role: "alert" }, fault),
      h("div", { className: "stepper" },
        step(`One less of ${name}`, "−", -1),
        h("span", { "aria-label": `Quantity ${line.quantity}` }, line.quantity),
        step(`One more of ${name}`, "+", 1),
        h("button", { type: "button", className: "link", "aria-label": `Remove ${name}`, onclick: () => setQuantity(line, 0, "") }, "Remove"))),
    h("p", { className: "amount" }, money(line.line_price, cart.currency)));
}

function draw(fault) {
  const lines = cart.items;
  show(drawer,
    h("header", {},
      h("h2", { id: "cart-title", tabindex: "-1" }, "Your cart"),
      h("button", { type: "button", className: "close", "aria-label": "Close the cart", onclick: close }, "×")),
    lines.length
      ? [
          h("ul", { className: "lines" }, lines.map((line) => drawLine(line, fault?.line === line.variant_id && fault.text))),
          h("footer", {},
            h("p", { className: "sum" }, h("span", {}, "Items"), h("strong", {}, money(cart.total_price, cart.currency))),
            h("p", { className: "soft" }, "Shipping and tax come with your address."),
            h("a", { className: "button wide", href: "#/checkout", onclick: close }, "Go to checkout")),
        ]
      : h("div", { className: "empty" },
          h("p", {}, "Nothing in it yet."),
          h("a", { className: "button quiet", href: "#/", onclick: close }, "Look around")));
}

export function close() {
  drawer.close();
}

export function open() {
  draw();
  if (!drawer.open) drawer.showModal();
}

drawer.addEventListener("click", (event) => {
  if (event.target === drawer) close();
});
document.querySelector("[data-open-cart]").addEventListener("click", async () => {
  open();
  await refresh().catch((error) => toast(error.message));
});
