// The checkout: who and where, how it travels, how it is paid. Each step is one call, and its answer is what shows.

import { findCustomer, nowIs } from "../account.js";
import { get, options, post, put, remove, send, uuid, Problem } from "../api.js";
import { refresh } from "../cart.js";
import { h, nameOf, picture, show } from "../dom.js";
import { money } from "../money.js";
import { cartUuid, keepOrder, keepPaying, paying } from "../store.js";
import { addressFields, EXAMPLE, readAddress } from "./address.js";
import { couponForm, saidOfLine, whatChanged } from "./basket.js";
import { clearFaults, field, passwordField, showFaults } from "./form.js";
import { purses } from "./purses.js";

const TEST_CARDS = [
  ["ok", "Card that works", "The payment goes through at once."],
  ["decline", "Card that is declined", "The bank says no; nothing is lost, pay another way."],
  ["second_step", "Card with a second step", "You approve the payment on the bank's page."],
  ["late", "Bank that answers late", "The answer comes some seconds later, by webhook."],
];

export async function checkoutView({ signal }) {
  const known = await options();
  const before = paying();
  let checkout = null;
  let note = "";
  if (before) {
    checkout = await get(`/checkout/${before.token}`, { signal }).catch((error) => {
      if (error.status !== 404) throw error;
      return null;
    });
    if (checkout?.state === "paying") {
      const outcome = await confirm(checkout, before.service);
      checkout = outcome.checkout;
      note = outcome.note;
    }
    if (checkout?.order) {
      await arrive(checkout.order.id, checkout.checkout_token);
      return { title: "Thank you", node: h("p", {}, "Your order is placed.") };
    }
    if (checkout?.state !== "paying") keepPaying(null);
  }
  if (!checkout || !["open", "priced", "paying"].includes(checkout.state)) {
    if (!cartUuid()) return emptyCart();
    try {
      checkout = await post("/checkout", { cart_uuid: cartUuid() }, { key: uuid(), signal });
    } catch (error) {
      if (error instanceof Problem && [404, 422].includes(error.status)) return emptyCart(error);
      throw error;
    }
  }
  const me = await findCustomer({ signal });
  const credit = me ? await get("/customer/store-credit", { signal }) : null;
  return { title: "Checkout", node: build({ checkout, known, me, credit }, note) };
}

function emptyCart(error) {
  const why = error && error.code !== "cart_not_found" && error.status === 422 ? error.message : "";
  return {
    title: "Checkout",
    node: h("section", { className: "empty" }, h("h1", { tabindex: "-1" }, "Nothing to check out"),
      h("p", {}, why || "Put something into the cart first."), h("a", { className: "button", href: "#/" }, "Look around")),
  };
}

async function arrive(orderId, token) {
  keepPaying(null);
  sessionStorage.setItem("thanks", String(orderId));
  const order = await get(`/orders/${orderId}`, { headers: { "X-Checkout-Token": token } });
  keepOrder(order);
  await refresh().catch(() => {});
  location.hash = `#/orders/${orderId}`;
}

// Asks the service how the payment ended. A refusal is an answer too: the checkout is open again then.
async function confirm(checkout, service) {
  try {
    return { checkout: await post(`/checkout/${checkout.checkout_token}/payment/${service}/confirm`, {}), note: "" };
  } catch (error) {
    if (!(error instanceof Problem) || error.status === 0) throw error;
    const now = await get(`/checkout/${checkout.checkout_token}`);
    if (error.code === "second_step_required") return { checkout: now, note: "", next: error.body.next_step_url };
    return { checkout: now, note: error.message };
  }
}

function build({ checkout, known, me, credit }, note) {
  const summary = h("aside", { className: "summary", "aria-label": "Summary" });
  const steps = h("div", { className: "steps" });
  const page = h("div", { className: "checkout" }, h("div", {}, h("h1", { tabindex: "-1" }, "Checkout"), steps), summary);
  const state = { checkout, known, me, credit, page, summary, steps };
  state.contact = contactStep(state);
  state.shipping = h("section", { className: "step", "aria-labelledby": "step-shipping" });
  state.payment = h("section", { className: "step", "aria-labelledby": "step-payment" });
  show(steps, state.contact.node, state.shipping, state.payment);
  apply(state, checkout);
  if (note) sayAtPayment(state, note);
  return page;
}

function apply(state, checkout) {
  state.checkout = checkout;
  drawSummary(state);
  drawShipping(state);
  drawPayment(state);
}

function drawSummary(state) {
  const { checkout, summary } = state;
  const amount = (minor) => money(minor, checkout.currency);
  const { totals } = checkout;
  const row = (label, value, strong) => h("div", { className: strong ? "total" : "" }, h("dt", {}, label), h("dd", {}, value));
  show(summary,
    h("h2", {}, "What you buy"),
    h("ul", { className: "lines" }, checkout.items.map((line) =>
      h("li", { className: "line" },
        h("div", { className: "thumb" }, picture(line.image, "")),
        h("div", { className: "what" }, h("p", {}, nameOf(line)),
          h("p", { className: "soft" }, [line.variant_title !== "Default Title" && line.variant_title, `× ${line.quantity}`].filter(Boolean).join(" ")),
          line.gift && h("p", { className: "good" }, "A gift"),
          saidOfLine(checkout.warnings, line.variant_id, checkout.currency)),
        h("p", { className: "amount" }, amount(line.line_price))))),
    couponForm(checkout, async (code) => {
      const path = `/checkout/${state.checkout.checkout_token}/coupon`;
      apply(state, code === null ? (await remove(path)).data : await put(path, { coupon: code }));
      return state.summary;
    }),
    h("dl", { className: "totals" },
      row("Items", amount(totals.items)),
      totals.discount > 0 && row("Discount", `−${amount(totals.discount)}`),
      row("Shipping", checkout.shipping_option_id === null ? "to come" : totals.shipping ? amount(totals.shipping) : "free"),
      row(checkout.tax_included ? "Tax, included" : "Tax", amount(totals.tax)),
      row("Total", amount(totals.total), totals.due === totals.total),
      totals.gift_card > 0 && row("Gift card", `−${amount(totals.gift_card)}`),
      totals.store_credit > 0 && row("Store credit", `−${amount(totals.store_credit)}`),
      totals.due !== totals.total && row("Left to pay", amount(totals.due), true)));
}

function contactStep(state) {
  const { checkout, known, me } = state;
  const booked = (me?.shipping_info ?? []).filter((one) => known.countries.some(({ code }) => code === one.country_code));
  const usual = booked.find((one) => one.is_default) ?? booked[0];
  const shipping = addressFields("shipping_address", known.countries, { section: "shipping", value: checkout.shipping_address ?? usual });
  const billing = addressFields("billing_address", known.countries, { section: "billing", value: checkout.billing_address });
  const same = h("input", { type: "checkbox", id: "same", checked: checkout.billing_same_as_shipping !== false });
  const billingPlace = h("div", { className: "billing" });
  const drawBilling = () => (same.checked ? billingPlace.replaceChildren() : billingPlace.replaceChildren(h("h3", {}, "Billing address"), billing.node));
  same.addEventListener("change", drawBilling);
  drawBilling();
  const trouble = h("p", { className: "fault", role: "alert" });
  const button = h("button", { className: "button", type: "submit" }, "Save and see shipping");
  const form = h("form", {
    onsubmit: async (event) => {
      event.preventDefault();
      clearFaults(form);
      trouble.textContent = "";
      button.disabled = true;
      const body = {
        email: form.elements.namedItem("email").value.trim(),
        shipping_address: readAddress(form, "shipping_address"),
        billing_same_as_shipping: same.checked,
        subscribe: form.elements.namedItem("subscribe").checked,
        note: form.elements.namedItem("note").value.trim() || null,
        consents: Object.fromEntries(checkout.consents.map(({ key }) => [key, form.elements.namedItem(`consents.${key}`).checked])),
        time_zone: Intl.DateTimeFormat().resolvedOptions().timeZone,
      };
      const password = form.elements.namedItem("password")?.value;
      if (password) body.password = password;
      if (!same.checked) body.billing_address = readAddress(form, "billing_address");
      try {
        let answer = await put(`/checkout/${state.checkout.checkout_token}/customer`, body);
        // A mail address that has an account already goes on as a guest's: then nothing is said.
        if ("auth_key" in answer) {
          nowIs(body.shipping_address.first_name);
          form.querySelector("details")?.remove();
        }
        const [first] = answer.shipping_options;
        if (first && answer.shipping_option_id === null) answer = await chooseShipping(answer, first.id);
        apply(state, answer);
        (state.shipping.querySelector("input:checked") ?? state.payment.querySelector("input"))?.focus();
      } catch (error) {
        if (!(error instanceof Problem)) throw error;
        trouble.textContent = showFaults(form, error);
      } finally {
        button.disabled = false;
      }
    },
  },
  h("div", { className: "fields" }, h("div", { className: "whole" },
    field("email", "Mail address", { type: "email", autocomplete: "email", value: checkout.email ?? me?.email, hint: "The confirmation goes there. Here it lands under Mails." }))),
  !me && h("p", { className: "soft" }, "You have an account? ", h("a", { href: "#/login?next=/checkout" }, "Log in"), ", and your address fills itself in."),
  h("h3", {}, "Shipping address"),
  booked.length > 1 && !checkout.shipping_address && chooseAddress(booked, usual, shipping),
  shipping.node,
  h("label", { className: "check", for: "same" }, same, "The bill goes to the same address"),
  billingPlace,
  h("label", { className: "check" }, h("input", { type: "checkbox", name: "subscribe" }), "Write to me when something new is in"),
  field("note", "A word about your order", { optional: true, area: true, maxlength: "2000", value: checkout.note }),
  checkout.consents.map((one) => h("label", { className: "check" },
    h("input", { type: "checkbox", name: `consents.${one.key}`, required: one.required, checked: one.given_at !== null }), one.text)),
  !me && h("details", {}, h("summary", {}, "Make an account with it"),
    passwordField("password", "Password", "new-password", { optional: true, minlength: "8", hint: "At least 8 characters. Next time your address fills itself in." })),
  trouble,
  h("div", { className: "row" }, button,
    h("button", {
      type: "button", className: "link",
      onclick: () => {
        shipping.fill(EXAMPLE);
        if (!me) form.elements.namedItem("email").value = "robin@example.com";
        button.focus();
      },
    }, "Fill in an example")));
  return { node: h("section", { className: "step", "aria-labelledby": "step-contact" }, h("h2", { id: "step-contact" }, "Who and where to"), form), form };
}

function chooseAddress(booked, usual, shipping) {
  const node = field("booked", "From your addresses", {
    options: booked.map((one) => [one.id, [one.address_one, one.city, one.country].join(", ")]),
  });
  const select = node.querySelector("select");
  select.value = usual.id;
  select.addEventListener("change", () => {
    const chosen = booked.find((one) => String(one.id) === select.value);
    shipping.fill({ ...chosen, country: chosen.country_code, region: chosen.province });
  });
  return node;
}

const chooseShipping = (checkout, id) => put(`/checkout/${checkout.checkout_token}/shipping`, { shipping_option_id: id });

const day = (text) => new Date(`${text}T12:00`).toLocaleDateString(undefined, { weekday: "short", day: "numeric", month: "short" });

function days({ min_days: least, max_days: most, earliest, latest }) {
  if (earliest && latest) return earliest === latest ? day(earliest) : `${day(earliest)} to ${day(latest)}`;
  if (!most) return "";
  if (least === most) return most === 1 ? "1 day" : `${most} days`;
  return `${least} to ${most} days`;
}

function drawShipping(state) {
  const { checkout } = state;
  const heading = h("h2", { id: "step-shipping" }, "How it travels");
  const fault = h("p", { className: "fault", role: "alert" });
  if (!checkout.shipping_address) {
    show(state.shipping, heading, h("p", { className: "soft" }, "Your address decides what is possible."));
    return;
  }
  if (!checkout.shipping_options.length) {
    const needs = checkout.items.some((line) => line.requires_shipping);
    show(state.shipping, heading, h("p", { className: needs ? "fault" : "soft" },
      needs ? "We know no way to ship this to that address." : "Nothing here needs a parcel."));
    return;
  }
  show(state.shipping, heading,
    h("fieldset", { className: "choices" }, h("legend", { className: "hidden" }, "Shipping"),
      checkout.shipping_options.map((option) =>
        h("label", { className: "choice" },
          h("input", {
            type: "radio", name: "shipping", value: option.id, checked: option.id === checkout.shipping_option_id,
            onchange: async () => {
              try {
                apply(state, await chooseShipping(checkout, option.id));
                state.shipping.querySelector("input:checked")?.focus();
              } catch (error) {
                if (!(error instanceof Problem)) throw error;
                fault.textContent = error.message;
              }
            },
          }),
          h("span", { className: "what" }, option.title, h("span", { className: "soft" }, [option.location, days(option)].filter(Boolean).join(" · "))),
          h("span", { className: "amount" }, option.price ? money(option.price, checkout.currency) : "free")))),
    fault);
}

// What a gift card and credit pay wholly needs no service.
function usable({ totals, payment_services: services }) {
  if (totals.total === 0) return services.filter((one) => one.name === "free_payment");
  if (totals.due > 0) return services.filter((one) => one.name !== "free_payment");
  return [totals.gift_card ? { name: "gift_card", title: "Your gift card" } : { name: "store_credit", title: "Your store credit" }];
}

function drawPayment(state) {
  const { checkout } = state;
  const heading = h("h2", { id: "step-payment" }, "How it is paid");
  if (checkout.state === "paying") {
    show(state.payment, heading, waiting(state));
    return;
  }
  if (checkout.state !== "priced") {
    show(state.payment, heading, h("p", { className: "soft" }, "Comes last."));
    return;
  }
  const services = usable(checkout);
  services.sort((one, other) => (other.name === "test") - (one.name === "test"));
  const cards = h("fieldset", { className: "choices cards" }, h("legend", {}, "Which test card"),
    TEST_CARDS.map(([token, title, text], index) =>
      h("label", { className: "choice" }, h("input", { type: "radio", name: "card", value: token, checked: index === 0 }),
        h("span", { className: "what" }, title, h("span", { className: "soft" }, text)))));
  const button = h("button", { className: "button wide", type: "submit" }, checkout.totals.due ? `Pay ${money(checkout.totals.due, checkout.currency)}` : "Place the order");
  const trouble = h("div", { className: "fault", role: "alert", tabindex: "-1", "data-pay-fault": "" });
  const sync = () => (cards.hidden = cards.disabled = form.elements.namedItem("service")?.value !== "test");
  const form = h("form", {
    onchange: sync,
    onsubmit: async (event) => {
      event.preventDefault();
      button.disabled = true;
      trouble.textContent = "";
      try {
        await pay(state, form.elements.namedItem("service").value, cards.disabled ? "" : form.elements.namedItem("card").value);
      } catch (error) {
        if (!(error instanceof Problem)) throw error;
        await refused(state, error);
      } finally {
        button.disabled = false;
      }
    },
  },
  h("fieldset", { className: "choices" }, h("legend", { className: "hidden" }, "Payment"),
    services.map((one, index) =>
      h("label", { className: "choice" }, h("input", { type: "radio", name: "service", value: one.name, checked: index === 0 }),
        h("span", { className: "what" }, one.title || one.name)))),
  cards, trouble, button);
  sync();
  const besides = checkout.totals.total > 0 && purses(state, (now, focus) => {
    apply(state, now);
    state.payment.querySelector(focus)?.focus();
  });
  show(state.payment, heading, besides, services.length ? form : h("p", { className: "fault" }, "This shop has no way to pay set up."));
}

async function pay(state, service, token) {
  const { checkout } = state;
  const body = { payment_type: service, amount: checkout.totals.due, currency: checkout.currency, payment_token: token };
  keepPaying({ token: checkout.checkout_token, service });
  const { status, data, headers } = await send("POST", `/checkout/${checkout.checkout_token}/payment`, body, { key: uuid() });
  if (status === 204) {
    await arrive(Number(headers.get("Location").split("/").pop()), checkout.checkout_token);
    return;
  }
  apply(state, { ...checkout, state: "paying" });
  watch(state, (data?.retry_after ?? 2) * 1000);
}

async function refused(state, error) {
  if (error.code === "second_step_required") {
    location.assign(error.body.next_step_url);
    return;
  }
  keepPaying(null);
  apply(state, await get(`/checkout/${state.checkout.checkout_token}`));
  await refresh().catch(() => {});
  sayAtPayment(state, error.code === "total_changed" ? "What is to be paid has changed meanwhile. Please look at it again." : error.message, whatChanged(error.body));
}

function sayAtPayment(state, text, list = null) {
  const place = state.payment.querySelector("[data-pay-fault]");
  if (!place) return;
  show(place, h("p", {}, text), list);
  requestAnimationFrame(() => place.focus());
}

function waiting(state) {
  const text = h("p", { role: "status" }, "The payment is on its way. This page waits for the answer.");
  return h("div", { className: "waiting" }, h("span", { className: "ember", "aria-hidden": "true" }), text,
    h("button", { type: "button", className: "button quiet", onclick: () => check(state) }, "Ask now"));
}

async function check(state) {
  const { service } = paying() ?? { service: "test" };
  const { checkout, note, next } = await confirm(state.checkout, service);
  if (next) {
    location.assign(next);
    return;
  }
  if (checkout.order) {
    await arrive(checkout.order.id, checkout.checkout_token);
    return;
  }
  apply(state, checkout);
  if (note && checkout.state !== "paying") sayAtPayment(state, note);
}

// Looks again until the outcome is known, or the shopper has gone elsewhere.
function watch(state, after) {
  setTimeout(async () => {
    if (!state.page.isConnected || state.checkout.state !== "paying") return;
    try {
      const now = await get(`/checkout/${state.checkout.checkout_token}`);
      if (now.order) {
        await arrive(now.order.id, now.checkout_token);
        return;
      }
      if (now.state !== "paying") {
        keepPaying(null);
        apply(state, now);
        sayAtPayment(state, "The payment was refused. Try another card or another way to pay.");
        return;
      }
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
    }
    watch(state, Math.min(after * 1.5, 10000));
  }, after);
}
