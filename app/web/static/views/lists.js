// Lists of products: everything, a category, a collection, what a search finds.

import { categories, get } from "../api.js";
import { h, plainText, prose } from "../dom.js";
import { card, cardsOfProducts, cardsOfVariants } from "./cards.js";

const SORTS = [
  ["", "Our order"],
  ["price asc", "Price, low to high"],
  ["price desc", "Price, high to low"],
  ["title asc", "Name"],
  ["date desc", "Newest"],
];

// A grid that grows: the first page at once, the others when asked for. Two pages may hold variants of one product.
async function grid(load, toCards, { empty, signal }) {
  const seen = new Set();
  const list = h("ul", { className: "grid" });
  const more = h("button", { type: "button", className: "button quiet" }, "Show more");
  const status = h("p", { className: "soft", role: "status" });
  let page = 0;
  const next = async () => {
    page += 1;
    const answer = await load(page, signal);
    const fresh = toCards(answer.items).filter((one) => !seen.has(one.key));
    fresh.forEach((one) => seen.add(one.key));
    const first = list.childElementCount;
    fresh.forEach((one, index) => list.append(card(one, first + index)));
    const done = page >= answer._meta.pageCount;
    more.hidden = done;
    status.textContent = done && first + fresh.length > 8 ? "That is all of it." : "";
    return first;
  };
  more.addEventListener("click", async () => {
    more.disabled = true;
    try {
      const first = await next();
      list.children[first]?.querySelector("a").focus({ preventScroll: true });
    } catch (error) {
      status.textContent = error.message;
      page -= 1;
    } finally {
      more.disabled = false;
    }
  });
  await next();
  if (!seen.size) return empty;
  return h("div", { className: "listing" }, list, h("div", { className: "more" }, more, status));
}

function chips(label, links) {
  return links.length
    ? h("nav", { className: "chips", "aria-label": label }, h("ul", {}, links.map(([href, text]) => h("li", {}, h("a", { href }, text)))))
    : null;
}

// The address of this list with some parameters changed; null takes one out.
function changed(base, query, changes) {
  const next = new URLSearchParams(query);
  for (const [name, value] of Object.entries(changes)) {
    next.delete(name);
    for (const one of [value].flat()) if (one) next.append(name, one);
  }
  return next.size ? `${base}?${next}` : base;
}

function sorter(query, base) {
  const chosen = `${query.get("order_by") ?? ""} ${query.get("order_type") ?? ""}`.trim();
  return h("label", { className: "sorter" }, h("span", {}, "Sort by"),
    h("select", {
      "data-keep": "sort",
      onchange: (event) => {
        const [by, type] = event.target.value.split(" ");
        location.hash = changed(base, query, { order_by: by || null, order_type: type || null });
      },
    }, SORTS.map(([value, text]) => h("option", { value, selected: value === chosen }, text))));
}

// What the address narrows the shelf to: all in it but the order.
const picks = (query) =>
  Object.fromEntries([...new Set(query.keys())].filter((name) => !name.startsWith("order_")).map((name) => [name, query.getAll(name)]));
const optionsOf = (detail) => (detail.filters ?? []).filter((one) => one.kind === "option");

// What narrows this shelf most: the options that most of its products have.
function sieve(filters, query, base) {
  const size = (one) => one.values.reduce((sum, value) => sum + value.count, 0);
  const chosen = filters.filter((one) => query.has(one.key));
  const useful = filters.filter((one) => one.values.length > 1).sort((one, other) => size(other) - size(one)).slice(0, 4);
  const shown = [...new Set([...chosen, ...useful])];
  if (!shown.length) return null;
  const count = chosen.reduce((sum, one) => sum + query.getAll(one.key).length, 0);
  return h("details", { className: "sieve", open: count > 0 },
    h("summary", {}, count ? `Narrowed down by ${count}` : "Narrow down"),
    h("div", { className: "sieve-sets" }, shown.map((one) =>
      h("fieldset", {}, h("legend", {}, one.name),
        one.values.map((value) => {
          const picked = query.getAll(one.key);
          const checked = picked.includes(value.key);
          const next = checked ? picked.filter((key) => key !== value.key) : [...picked, value.key];
          return h("label", { className: "check" },
            h("input", { type: "checkbox", checked, "data-keep": `${one.key}=${value.key}`, onchange: () => (location.hash = changed(base, query, { [one.key]: next })) }),
            h("span", {}, value.name, h("span", { className: "soft" }, ` ${value.count}`)));
        })))),
    count > 0 && h("a", { href: changed(base, query, Object.fromEntries(chosen.map((one) => [one.key, null]))) }, "Show all again"));
}

const nothing = (text) => h("div", { className: "empty" }, h("p", {}, text), h("a", { className: "button quiet", href: "#/" }, "Look at everything"));

export async function homeView({ signal }) {
  const [collections, products] = await Promise.all([
    get("/collections", { query: { offset: 100 }, signal }).catch(() => ({ items: [] })),
    grid(
      (page, abort) => get("/products", { query: { offset: 24, page }, signal: abort }),
      cardsOfProducts,
      { signal, empty: nothing("The shelves are empty. Load products with: storefront import products FILE.csv") },
    ),
  ]);
  const open = collections.items.filter((one) => one.visible !== false);
  const best = await bestSellers(open, signal);
  return {
    title: "",
    node: h("div", {},
      h("section", { className: "hero" },
        h("img", { src: "/web/hero.svg", alt: "", width: 1200, height: 380 }),
        h("div", { className: "hero-text" },
          h("h1", { tabindex: "-1" }, "Out there, and home again"),
          h("p", {}, "Things for the hill, the fire and the long table."))),
      chips("Collections", open.slice(0, 9).map((one) => [`#/collections/${one.handle}`, one.title])),
      best,
      h("h2", { className: "section" }, "Everything on our shelves"),
      products),
  };
}

async function bestSellers(collections, signal) {
  const collection = collections.find((one) => one.handle === "bestsellers");
  if (!collection) return null;
  const answer = await get(`/collections/${collection.handle}/products`, { query: { offset: 8 }, signal });
  return [
    h("h2", { className: "section" }, collection.title),
    h("ul", { className: "grid" }, cardsOfVariants(answer.items).slice(0, 8).map(card)),
  ];
}

async function listView({ title, body, base, path, query, signal, extra, filters = [] }) {
  const picked = Object.fromEntries(filters.filter((one) => query.has(one.key)).map((one) => [one.key, query.getAll(one.key)]));
  const order = { order_by: query.get("order_by"), order_type: query.get("order_type") };
  const products = await grid(
    (page, abort) => get(path, { query: { offset: 48, page, ...order, ...picked }, signal: abort }),
    cardsOfVariants,
    { signal, empty: nothing("Nothing stands on this shelf just now.") },
  );
  return {
    title,
    node: h("div", {},
      h("header", { className: "list-head" }, h("div", {}, h("h1", { tabindex: "-1" }, title), plainText(body) && prose(body)), sorter(query, base)),
      extra,
      sieve(filters, query, base),
      products),
  };
}

export async function categoryView({ params: [handle], query, signal }) {
  const path = `/category/${encodeURIComponent(handle)}`;
  const [detail, all] = await Promise.all([get(path, { query: { expand: "collections", ...picks(query) }, signal }), categories()]);
  const category = detail.items[0];
  const below = all.items.filter((one) => one.parent_id === category.id);
  const links = below.map((one) => [`#/category/${one.handle}`, one.title]);
  const collections = [category.collections ?? detail.collections ?? []].flat();
  if (!links.length && collections.length > 1) {
    links.push(...collections.map((one) => [`#/collections/${one.handle}`, one.title]));
  }
  return listView({
    title: category.title, body: category.body_html, base: `#/category/${handle}`, path: `${path}/products`,
    query, signal, filters: optionsOf(detail), extra: chips("Narrower shelves", links),
  });
}

export async function collectionView({ params: [handle], query, signal }) {
  const path = `/collections/${encodeURIComponent(handle)}`;
  const collection = (await get(path, { signal })).items[0];
  return listView({
    title: collection.title, body: collection.body_html, base: `#/collections/${handle}`, path: `${path}/products`, query, signal,
  });
}

export async function searchView({ query, signal }) {
  const text = (query.get("q") ?? "").trim();
  const found = text
    ? await grid(
        (page, abort) => get("/products/search", { query: { q: text, limit: 100, page }, signal: abort }),
        cardsOfVariants,
        { signal, empty: nothing(`Nothing of ours answers to “${text}”. Fewer letters find more.`) },
      )
    : nothing("Type what you are looking for.");
  const count = found.querySelectorAll("a.card").length;
  return {
    title: text ? `“${text}”` : "Search",
    node: h("div", {},
      h("header", { className: "list-head" }, h("h1", { tabindex: "-1" }, text ? `“${text}”` : "Search"),
        h("p", { className: "soft", role: "status" }, count ? `${count} ${count === 1 ? "thing" : "things"} found` : "")),
      found),
  };
}
