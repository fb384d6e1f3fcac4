// Products as cards. Some calls answer products, others variants: both become one card for each product.

import { h, picture } from "../dom.js";
import { price } from "../money.js";

export function soldOut(variant) {
  if (typeof variant.out_of_stock === "boolean") return variant.out_of_stock;
  return Boolean(variant.inventory_management) && variant.inventory_policy === "deny" && variant.inventory_quantity <= 0;
}

const imagesOf = (variant) =>
  [variant.image, ...(variant.images ?? []), ...(variant.all_images ?? [])].filter((one) => one?.src);
export const imageOf = (variant) => variant.media_src || imagesOf(variant)[0]?.src || "";
const srcsetOf = (ware, src) => imagesOf(ware).find((one) => one.src === src)?.srcset;

const handleOf = (url) => /\/products\/([^?#/]+)/.exec(url ?? "")?.[1] ?? "";

export function cardsOfProducts(products) {
  return products
    .filter((product) => product.variants?.length)
    .map((product) => ({ product, image: product.images?.[0]?.src || imageOf(product.variants[0]) }))
    .map(({ product, image }) => ({
      key: product.id,
      handle: product.handle,
      title: product.title,
      kind: product.product_type,
      image,
      srcset: srcsetOf(product, image),
      ...summary(product.variants),
    }));
}

export function cardsOfVariants(variants) {
  const groups = new Map();
  for (const variant of variants) {
    if (!groups.has(variant.product_id)) groups.set(variant.product_id, []);
    groups.get(variant.product_id).push(variant);
  }
  return [...groups.values()].map((group) => ({
    key: group[0].product_id,
    handle: handleOf(group[0].url),
    title: group[0].origin_title || group[0].title.split(" - ")[0],
    kind: group[0].public_title || "",
    image: imageOf(group[0]),
    srcset: srcsetOf(group[0], imageOf(group[0])),
    ...summary(group),
  }));
}

function summary(variants) {
  const cheapest = variants.reduce((best, one) => (one.price < best.price ? one : best));
  return {
    price: cheapest.price,
    before: cheapest.compare_at_price > cheapest.price ? cheapest.compare_at_price : null,
    from: variants.some((one) => one.price !== cheapest.price),
    // A list may show one variant of a product whose others are still there.
    gone: variants.every((one) => soldOut(one) && !(one.related_inventory_quantity > 0)),
  };
}

export function priceLine({ price: now, before, from }) {
  return h("p", { className: "price" },
    from && h("span", { className: "soft" }, "from "),
    h("span", { className: before ? "reduced" : "" }, price(now)),
    before && [" ", h("s", {}, h("span", { className: "hidden" }, "before "), price(before))]);
}

export function card(one, index) {
  return h("li", {},
    h("a", { className: "card", href: `#/products/${one.handle}` },
      h("div", { className: "frame" }, picture(one.image, "", { eager: index < 8, srcset: one.srcset }),
        one.gone ? h("span", { className: "badge" }, "Sold out") : one.before && h("span", { className: "badge sale" }, "Reduced")),
      h("h3", {}, one.title),
      priceLine(one)));
}
