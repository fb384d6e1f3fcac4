// A placed order, and the way back to one.

import { get, post, Problem } from "../api.js";
import { h, nameOf, picture, show } from "../dom.js";
import { money, moment } from "../money.js";
import { keepOrder, knownOrders, orderToken } from "../store.js";
import { addressLines } from "./address.js";
import { clearFaults, field, showFaults } from "./form.js";

const WORDS = {
  pending: "waiting", open: "open", completed: "done", cancelled: "cancelled", authorized: "authorised", paid: "paid",
  partially_paid: "partly paid", partially_refunded: "partly refunded", refunded: "refunded", failed: "failed",
  unfulfilled: "not sent yet", partial: "partly sent", fulfilled: "sent", returned: "returned",
};
export const say = (word) => WORDS[word] ?? word.replaceAll("_", " ");
const sentence = (word) => {
  const text = word.replaceAll("_", " ").replaceAll(".", ", ");
  return text.charAt(0).toUpperCase() + text.slice(1);
};

export async function orderView({ params: [id], query, signal }) {
  const secret = query.get("uuid");
  let order;
  if (secret) {
    order = await post(`/orders/${id}/access`, { uuid: secret }, { signal }).catch((error) => {
      // A mailed link opens once. This browser may know the order from before.
      if (error.status === 404 && orderToken(id)) return null;
      throw error;
    });
    history.replaceState(null, "", `#/orders/${id}`);
  }
  if (!order) {
    const token = orderToken(id);
    order = await get(`/orders/${id}`, { headers: token ? { "X-Checkout-Token": token } : {}, signal });
  }
  keepOrder(order);
  const thanks = sessionStorage.getItem("thanks") === id;
  sessionStorage.removeItem("thanks");
  return { title: `Order ${order.number}`, node: page(order, thanks) };
}

function addressCard(title, address) {
  if (!address) return null;
  return h("section", { className: "panel" }, h("h2", {}, title), addressLines(address));
}

function page(order, thanks) {
  const amount = (minor) => money(minor, order.currency);
  const { totals } = order;
  const row = (label, value, strong) => h("div", { className: strong ? "total" : "" }, h("dt", {}, label), h("dd", {}, value));
  const badge = (label, word) => h("span", { className: `state ${word}` }, h("span", { className: "soft" }, `${label} `), say(word));
  return h("article", { className: "order" },
    h("header", {},
      thanks && h("p", { className: "thanks" }, "Thank you! ", h("a", { href: "#/mails" }, "The confirmation is among the mails.")),
      h("h1", { tabindex: "-1" }, `Order ${order.number}`),
      h("p", { className: "soft" }, `${moment(order.created_at)} · ${order.email}`),
      h("p", { className: "states" }, badge("Order", order.status), badge("Payment", order.payment_status), badge("Parcel", order.fulfilment_status))),
    h("div", { className: "columns" },
      h("section", { className: "panel" }, h("h2", {}, "What was bought"),
        h("ul", { className: "lines" }, order.items.map((line) =>
          h("li", { className: "line" }, h("div", { className: "thumb" }, picture(line.image, "")),
            h("div", { className: "what" }, h("p", {}, nameOf(line)),
              h("p", { className: "soft" }, [line.variant_title !== "Default Title" && line.variant_title, `${line.quantity} × ${amount(line.price)}`].filter(Boolean).join(" · "))),
            h("p", { className: "amount" }, amount(line.line_price))))),
        h("dl", { className: "totals" },
          row("Items", amount(totals.items)),
          totals.discount > 0 && row("Discount", `−${amount(totals.discount)}`),
          row(order.shipping_option?.title ? `Shipping, ${order.shipping_option.title}` : "Shipping", totals.shipping ? amount(totals.shipping) : "free"),
          row(order.tax_included ? "Tax, included" : "Tax", amount(totals.tax)),
          row("Total", amount(totals.total), true),
          totals.gift_card > 0 && row("By gift card", amount(totals.gift_card)),
          totals.store_credit > 0 && row("By store credit", amount(totals.store_credit)))),
      h("div", { className: "stack" },
        order.shipping_option?.pickup
          ? h("section", { className: "panel" }, h("h2", {}, "Fetched at"), h("p", {}, order.shipping_option.location))
          : addressCard("Goes to", order.shipping_address),
        order.note && h("section", { className: "panel" }, h("h2", {}, "What you wrote"), h("p", {}, order.note)),
        h("section", { className: "panel" }, h("h2", {}, "Paid by"),
          h("ul", { className: "plain" }, order.payments.map((one) =>
            h("li", {}, `${sentence(one.service)}: ${amount(one.amount)}, ${say(one.status)}`, one.refunded > 0 && `, ${amount(one.refunded)} given back`)))),
        h("section", { className: "panel" }, h("h2", {}, "What happened"),
          h("ol", { className: "timeline" }, order.timeline.map((one) =>
            h("li", {}, h("p", {}, sentence(one.event), one.detail && h("span", { className: "soft" }, ` ${one.detail.replaceAll("_", " ")}`)),
              h("p", { className: "soft" }, h("time", { datetime: one.at }, moment(one.at))))))))));
}

export function findView() {
  const known = knownOrders();
  const said = h("div", { role: "status" });
  const form = h("form", {
    className: "panel find",
    onsubmit: async (event) => {
      event.preventDefault();
      clearFaults(form);
      const data = new FormData(form);
      try {
        await post("/orders/find", { order: data.get("order").trim(), email: data.get("email").trim() });
        show(said, h("p", { className: "good" }, "If the two belong together, a link is on its way. ", h("a", { href: "#/mails" }, "Look among the mails.")));
      } catch (error) {
        if (!(error instanceof Problem)) throw error;
        show(said, h("p", { className: "fault" }, showFaults(form, error)));
      }
    },
  },
  h("h2", {}, "Find an order"),
  h("p", { className: "soft" }, "Number and mail address bring a link by mail."),
  field("order", "Order number", { placeholder: "#1001" }),
  field("email", "Mail address", { type: "email", autocomplete: "email" }),
  h("button", { className: "button", type: "submit" }, "Send me the link"), said);
  return {
    title: "Orders",
    node: h("div", { className: "narrow" }, h("h1", { tabindex: "-1" }, "Orders"),
      known.length > 0 && h("section", { className: "panel" }, h("h2", {}, "Placed in this browser"),
        h("ul", { className: "plain" }, known.map((one) => h("li", {}, h("a", { href: `#/orders/${one.id}` }, `Order ${one.number}`))))),
      form),
  };
}
