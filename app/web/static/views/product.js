// One product: pictures, the choice of a variant, and the way into the cart.

import { get, Problem } from "../api.js";
import { add, open, sayFault } from "../cart.js";
import { h, picture, prose, show } from "../dom.js";
import { imageOf, priceLine, soldOut } from "./cards.js";

const valueOf = (variant, option) => variant.options?.find((one) => one.name === option.name)?.value_name;

function stockLine(variant) {
  if (!variant) return h("p", { className: "stock none" }, "This combination does not exist.");
  if (soldOut(variant)) return h("p", { className: "stock none" }, "Sold out");
  if (!variant.inventory_management) return h("p", { className: "stock" }, "Always there");
  if (variant.inventory_quantity <= 0) return h("p", { className: "stock late" }, "On back-order: it ships as soon as it is in");
  if (variant.inventory_quantity <= 3) return h("p", { className: "stock late" }, `Only ${variant.inventory_quantity} left`);
  return h("p", { className: "stock" }, "In stock");
}

function gallery(product) {
  const images = (product.images ?? []).filter((one) => one.src);
  const stage = h("div", { className: "stage" });
  const place = (src) => {
    const { srcset } = images.find((one) => one.src === src) ?? {};
    show(stage, picture(src, product.title, { eager: true, srcset, sizes: "(max-width: 900px) 100vw, 640px" }));
    for (const button of thumbs.children) button.setAttribute("aria-pressed", String(button.dataset.src === src));
  };
  const thumbs = h("div", { className: "thumbs" }, images.length > 1 && images.slice(0, 8).map((one, index) =>
    h("button", { type: "button", "data-src": one.src, "aria-label": `Picture ${index + 1}`, onclick: () => place(one.src) },
      picture(one.src, "", { srcset: one.srcset, sizes: "80px" }))));
  place(images[0]?.src ?? "");
  return { node: h("div", { className: "gallery" }, stage, thumbs), place };
}

export async function productView({ params: [handle], query, signal }) {
  const product = await get(`/products/${encodeURIComponent(handle)}`, { signal });
  const { variants } = product;
  const pickable = (product.options ?? []).filter((one) => !(one.name === "Title" && one.values.length === 1));
  const wanted = Number(query.get("variant"));
  const first = variants.find((one) => one.id === wanted) ?? variants.find((one) => !soldOut(one)) ?? variants[0];
  const chosen = new Map(pickable.map((option) => [option.name, valueOf(first, option)]));
  const pictures = gallery(product);
  const priceBox = h("div", { className: "price-box" });
  const stockBox = h("div", { role: "status" });
  const fault = h("p", { className: "fault", role: "alert" });
  const quantity = h("input", { id: "quantity", type: "number", min: "1", max: "999", value: "1", inputmode: "numeric" });
  const button = h("button", { className: "button wide", type: "submit" }, "Add to cart");

  const find = (choice) => variants.find((one) => pickable.every((option) => valueOf(one, option) === choice.get(option.name)));
  const update = ({ turn = true } = {}) => {
    const variant = find(chosen);
    show(priceBox, variant && priceLine({
      price: variant.price, before: variant.compare_at_price > variant.price ? variant.compare_at_price : null,
    }));
    show(stockBox, stockLine(variant));
    button.disabled = !variant || soldOut(variant);
    button.textContent = variant && soldOut(variant) ? "Sold out" : "Add to cart";
    if (turn && variant && imageOf(variant)) pictures.place(imageOf(variant));
    for (const input of form.querySelectorAll("input[type=radio]")) {
      const there = find(new Map([...chosen, [input.name, input.value]]));
      input.nextElementSibling.classList.toggle("gone", !there || soldOut(there));
    }
    return variant;
  };
  const pickers = pickable.map((option, at) =>
    h("fieldset", { className: "picker" }, h("legend", {}, option.name),
      option.values.map((value, index) => {
        const id = `option-${at}-${index}`;
        return h("span", {},
          h("input", {
            type: "radio", id, name: option.name, value: value.name, checked: chosen.get(option.name) === value.name,
            onchange: () => {
              chosen.set(option.name, value.name);
              const variant = update();
              if (variant) history.replaceState(null, "", `#/products/${handle}?variant=${variant.id}`);
            },
          }),
          h("label", { for: id }, value.name));
      })));
  const form = h("form", {
    className: "buy",
    onsubmit: async (event) => {
      event.preventDefault();
      fault.textContent = "";
      button.disabled = true;
      try {
        await add(find(chosen).id, quantity.valueAsNumber || 1);
        open();
      } catch (error) {
        if (!(error instanceof Problem)) throw error;
        fault.textContent = sayFault(error);
      } finally {
        update({ turn: false });
      }
    },
  }, pickers, h("div", { className: "row" }, h("div", { className: "field small" }, h("label", { for: "quantity" }, "Quantity"), quantity), button), fault);
  update({ turn: Boolean(wanted) });
  const sku = h("p", { className: "soft small-print" }, [product.product_type, product.vendor].filter(Boolean).join(" · "));
  return {
    title: product.title,
    node: h("article", { className: "product" },
      pictures.node,
      h("div", { className: "facts" }, sku, h("h1", { tabindex: "-1" }, product.title), priceBox, stockBox, form, prose(product.body_html))),
  };
}
