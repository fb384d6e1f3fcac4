// What pays beside a service: a gift card by its code, and the credit of whoever is logged in.

import { put, remove, Problem } from "../api.js";
import { h } from "../dom.js";
import { money } from "../money.js";
import { clearFaults, field, showFaults } from "./form.js";

// The part of the payment step above the services. `changed` takes the checkout as it then is.
export function purses({ checkout, credit }, changed) {
  const path = `/checkout/${checkout.checkout_token}`;
  return h("div", { className: "purses" },
    checkout.gift_card ? card(checkout, path, changed) : cardForm(path, changed),
    credit?.balance > 0 && creditChoice(checkout, credit, path, changed));
}

function card({ gift_card: { last_four: ending, amount }, currency }, path, changed) {
  const trouble = h("p", { className: "fault", role: "alert" });
  return h("div", { className: "row" },
    h("p", {}, `Gift card …${ending} pays ${money(amount, currency)}`),
    h("button", {
      type: "button", className: "link",
      onclick: () => attempt(trouble, async () => changed((await remove(`${path}/gift-card`)).data, "[name=code]")),
    }, "Take the card off"),
    trouble);
}

function cardForm(path, changed) {
  const trouble = h("p", { className: "fault", role: "alert" });
  const form = h("form", {
    onsubmit: async (event) => {
      event.preventDefault();
      clearFaults(form);
      await attempt(trouble, async () => changed(await put(`${path}/gift-card`, { code: form.elements.namedItem("code").value }), ".purses button"), form);
    },
  },
  field("code", "Gift card", { optional: true, maxlength: "128", autocomplete: "off", spellcheck: "false", hint: "The code on it, with or without hyphens." }),
  h("button", { type: "submit", className: "button quiet" }, "Use this card"), trouble);
  return form;
}

function creditChoice(checkout, credit, path, changed) {
  const trouble = h("p", { className: "fault", role: "alert" });
  const box = h("input", {
    type: "checkbox", name: "use_store_credit", checked: checkout.use_store_credit,
    onchange: () => attempt(trouble, async () => changed(await put(`${path}/store-credit`, { use_store_credit: box.checked }), "[name=use_store_credit]")),
  });
  return h("div", {}, h("label", { className: "check" }, box, `Use store credit: you have ${money(credit.balance, credit.currency)}`), trouble);
}

async function attempt(trouble, call, form) {
  trouble.textContent = "";
  try {
    await call();
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    trouble.textContent = form ? showFaults(form, error) : error.message;
  }
}
