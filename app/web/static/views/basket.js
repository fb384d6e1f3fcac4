// What a basket says of itself: its code, and what changed since a thing was put into it.

import { Problem } from "../api.js";
import { h } from "../dom.js";
import { money } from "../money.js";
import { field } from "./form.js";

// The warnings about one line, in a shopper's words; one list for them all.
export function saidOfLine(warnings, variantId, currency) {
  const said = (warnings ?? []).filter((one) => one.variant_id === variantId).map((one) => {
    if (one.code === "price_changed") return `It was ${money(one.was, currency)} when you chose it, now it is ${money(one.now, currency)}.`;
    if (one.code === "not_on_sale") return "Not for sale any more: please take it out.";
    return one.available > 0 ? `Only ${one.available} left.` : "Sold out.";
  });
  return said.map((text) => h("p", { className: "fault" }, text));
}

// How the basket differs from what was shown, as the refusal of a payment tells it.
export function whatChanged({ items, lines, changes, currency }) {
  const titles = new Map((lines ?? []).map((one) => [one.variant_id, one.title]));
  const name = (one) => titles.get(one.variant_id) ?? "Something";
  const words = {
    added: (one) => `${name(one)} was added.`,
    removed: () => "Something was taken out.",
    price_changed: (one) => `${name(one)} was ${money(one.was, currency)}, now it is ${money(one.now, currency)}.`,
    quantity_changed: (one) => `${name(one)}: ${one.now} in place of ${one.was}.`,
  };
  const short = (items ?? []).map((one) => `${name(one)}: ${one.available > 0 ? `only ${one.available} left` : "sold out"}.`);
  const said = [...short, ...(changes ?? []).map((one) => words[one.code]?.(one))].filter(Boolean);
  return said.length ? h("ul", { className: "plain" }, said.map((text) => h("li", {}, text))) : null;
}

// A field for a code, or the code that is there. `put` gets the code, or null to take it off, and answers where the
// basket was drawn anew.
export function couponForm({ coupon, currency }, put) {
  const trouble = h("p", { className: "fault", role: "alert" });
  const settle = async (code, focus) => {
    trouble.textContent = "";
    try {
      const place = await put(code);
      place.querySelector(focus)?.focus();
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      trouble.textContent = error.errors[0]?.message || error.message;
    }
  };
  if (coupon) {
    return h("div", { className: "coupon" },
      h("p", { role: "status", tabindex: "-1", "data-coupon": "" }, h("strong", {}, coupon.code), " ",
        coupon.refused ? h("span", { className: "fault" }, coupon.refused.message) : `takes off ${money(coupon.discount, currency)}`),
      h("button", { type: "button", className: "link", "aria-label": `Take the code ${coupon.code} off`, onclick: () => settle(null, ".coupon input") }, "Take off"),
      trouble);
  }
  const form = h("form", {
    className: "coupon",
    onsubmit: async (event) => {
      event.preventDefault();
      await settle(form.elements.namedItem("coupon").value.trim(), "[data-coupon]");
    },
  },
  field("coupon", "Code for a discount", { autocomplete: "off", autocapitalize: "characters", maxlength: "100" }),
  h("button", { type: "submit", className: "button quiet" }, "Use it"), trouble);
  return form;
}
