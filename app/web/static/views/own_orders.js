// The orders of whoever is logged in, the newest first.

import { customer } from "../account.js";
import { get } from "../api.js";
import { h } from "../dom.js";
import { day, money } from "../money.js";
import { accountPage } from "./account.js";
import { say } from "./orders.js";

const SIZE = 20;

export async function ownOrdersView({ query, signal }) {
  await customer({ signal });
  const page = Math.max(1, Number.parseInt(query.get("page") ?? "1", 10) || 1);
  const { items, _meta: meta } = await get("/orders", { query: { offset: SIZE, page }, signal });
  const turn = (to, label) => h("a", { className: "button quiet", href: `#/account/orders?page=${to}` }, label);
  const row = (order) =>
    h("li", {},
      h("div", {}, h("a", { href: `#/orders/${order.id}` }, `Order ${order.number}`),
        h("p", { className: "soft" }, h("time", { datetime: order.created_at }, day(order.created_at)), ", ",
          order.items.map((line) => `${line.quantity} × ${line.title}`).join(", "))),
      h("div", { className: "sum" }, h("strong", {}, money(order.totals.total, order.currency)), " ",
        h("span", { className: `state ${order.payment_status}` }, say(order.payment_status))));
  return accountPage("Orders",
    items.length
      ? h("ul", { className: "panel entries" }, items.map(row))
      : h("p", { className: "soft" }, "There are none yet."),
    h("p", { className: "row" }, page > 1 && turn(page - 1, "Newer"), page < meta.pageCount && turn(page + 1, "Older")),
    h("p", {}, "One that you placed without logging in? ", h("a", { href: "#/orders" }, "Find it by its number.")));
}
