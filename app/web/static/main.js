// Which view an address means. Addresses stand behind the #, so that every link, also a mailed one, is one page.

import { nowIs, showWho } from "./account.js";
import { categories, options, Problem } from "./api.js";
import { close as closeCart, refresh } from "./cart.js";
import { h, show, toast } from "./dom.js";
import { learnCurrencies, setCurrency } from "./money.js";
import { paying } from "./store.js";
import { profileView } from "./views/account.js";
import { addressesView, addressView } from "./views/addresses.js";
import { cartView } from "./views/cart.js";
import { checkoutView } from "./views/checkout.js";
import { categoryView, collectionView, homeView, searchView } from "./views/lists.js";
import { loginView } from "./views/login.js";
import { mailExamplesView } from "./views/mail_examples.js";
import { mailsView } from "./views/mails.js";
import { confirmNewsletterView, newsletterView, subscriptionView } from "./views/newsletter.js";
import { findView, orderView } from "./views/orders.js";
import { ownOrdersView } from "./views/own_orders.js";
import { passkeysView } from "./views/passkeys.js";
import { forgotView, newPasswordView } from "./views/password.js";
import { productView } from "./views/product.js";
import { providerView, takeHandover } from "./views/provider.js";
import { referralView } from "./views/referral.js";
import { sessionsView } from "./views/sessions.js";
import { signupView, verifyView } from "./views/signup.js";

const ROUTES = [
  [/^\/$/, homeView],
  [/^\/category\/([^/]+)$/, categoryView],
  [/^\/collections\/([^/]+)$/, collectionView],
  [/^\/search$/, searchView],
  [/^\/products\/([^/]+)$/, productView],
  [/^\/cart$/, cartView],
  [/^\/checkout$/, checkoutView],
  [/^\/orders$/, findView],
  [/^\/orders\/(\d+)$/, orderView],
  [/^\/signup$/, signupView],
  [/^\/login$/, loginView],
  [/^\/login\/provider$/, providerView],
  [/^\/verify$/, verifyView],
  [/^\/password$/, newPasswordView],
  [/^\/password\/forgot$/, forgotView],
  [/^\/account$/, profileView],
  [/^\/account\/addresses$/, addressesView],
  [/^\/account\/addresses\/(new|\d+)$/, addressView],
  [/^\/account\/passkeys$/, passkeysView],
  [/^\/account\/sessions$/, sessionsView],
  [/^\/account\/orders$/, ownOrdersView],
  [/^\/account\/referral$/, referralView],
  [/^\/newsletter$/, newsletterView],
  [/^\/newsletter\/confirm$/, confirmNewsletterView],
  [/^\/newsletter\/([0-9a-f-]{36})$/, subscriptionView],
  [/^\/mails\/examples(?:\/([a-z]+)\/([a-z_]+))?$/, mailExamplesView],
  [/^\/mails(?:\/([^/]+))?$/, mailsView],
];

const main = document.querySelector("[data-main]");
const field = document.querySelector("[data-search] input");
let running = new AbortController();
let shopName = "Shop";

function where() {
  const [path, search = ""] = location.hash.replace(/^#/, "").split("?");
  return { path: path || "/", query: new URLSearchParams(search) };
}

function failed(error) {
  const gone = error instanceof Problem && error.status === 404;
  return h("section", { className: "empty" },
    h("h1", { tabindex: "-1" }, gone ? "There is nothing here" : "That did not work"),
    h("p", {}, gone ? "It may have been sold out and taken away, or the link is old." : error.message),
    h("p", {}, h("a", { className: "button", href: "#/" }, "Back to the shop"), " ",
      !gone && h("button", { type: "button", className: "button quiet", onclick: () => route() }, "Try again")));
}

async function route({ typed = false } = {}) {
  const { path, query } = where();
  const found = ROUTES.map(([pattern, view]) => [pattern.exec(path), view]).find(([match]) => match);
  running.abort();
  running = new AbortController();
  const { signal } = running;
  if (!typed) field.value = path === "/search" ? (query.get("q") ?? "") : "";
  const kept = document.activeElement?.dataset?.keep;
  main.setAttribute("aria-busy", "true");
  let view;
  try {
    view = found
      ? await found[1]({ params: found[0].slice(1).map((part) => part && decodeURIComponent(part)), query, signal })
      : { title: "Nothing here", node: failed(new Problem(404, {})) };
  } catch (error) {
    if (signal.aborted) return;
    if (!(error instanceof Problem)) console.error(error);
    if (error.status === 401) {
      // The login has ended, or there was none: after the next one it goes on here.
      nowIs(null);
      location.replace(`#/login?next=${encodeURIComponent(path)}`);
      return;
    }
    view = { title: "That did not work", node: failed(error) };
  }
  if (signal.aborted) return;
  show(main, view.node);
  main.removeAttribute("aria-busy");
  main.dataset.shown = path;
  document.title = view.title ? `${view.title} · ${shopName}` : shopName;
  markShelf(path);
  if (!typed) {
    // A choice that narrows a list keeps the focus and the place; anything else is a new page.
    const same = kept && main.querySelector(`[data-keep="${CSS.escape(kept)}"]`);
    if (!same) scrollTo({ top: 0, behavior: "instant" });
    (same || (main.querySelector("h1[tabindex]") ?? main)).focus({ preventScroll: true });
  }
}

function markShelf(path) {
  for (const link of document.querySelectorAll("[data-shelves] a")) {
    if (link.getAttribute("href") === `#${path}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
}

function search() {
  const text = field.value.trim();
  const target = text ? `#/search?q=${encodeURIComponent(text)}` : "#/";
  if (location.hash === target) return;
  // While somebody types, the history gets one entry for the search, not one for each letter.
  if (location.hash.startsWith("#/search")) history.replaceState(null, "", target);
  else history.pushState(null, "", target);
  return route({ typed: true });
}

let typing = 0;
field.addEventListener("input", () => {
  clearTimeout(typing);
  typing = setTimeout(search, 180);
});
field.form.addEventListener("submit", (event) => {
  event.preventDefault();
  clearTimeout(typing);
  Promise.resolve(search()).then(() => main.querySelector("a.card")?.focus());
});
document.querySelector("[data-skip]").addEventListener("click", (event) => {
  event.preventDefault();
  main.focus();
});
addEventListener("hashchange", () => {
  closeCart();
  route();
});

async function begin() {
  showWho();
  takeHandover();
  // Back from the bank: the shop's own address is all that it knows.
  if (paying() && !location.hash) history.replaceState(null, "", "#/checkout");
  const [known] = await Promise.allSettled([options(), refresh()]);
  if (known.status === "fulfilled") {
    learnCurrencies(known.value.currencies);
    setCurrency(known.value.currencies[0].code);
    shopName = known.value.store || shopName;
    document.querySelector("[data-store]").textContent = shopName;
  } else {
    toast(known.reason.message);
  }
  await route();
  const shelves = await categories().catch(() => ({ items: [] }));
  const roots = shelves.items.filter((one) => !one.parent_id);
  show(document.querySelector("[data-shelves]"),
    h("li", {}, h("a", { href: "#/" }, "Everything")),
    roots.map((one) => h("li", {}, h("a", { href: `#/category/${one.handle}` }, one.title))));
  markShelf(where().path);
}

begin();
