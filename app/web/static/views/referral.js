// Inviting others: the link to give away, what it has earned, and asking to be paid out.

import { customer } from "../account.js";
import { get, Problem, send, uuid } from "../api.js";
import { h, toast } from "../dom.js";
import { day, money, typedAmount } from "../money.js";
import { accountPage } from "./account.js";
import { field, formPanel } from "./form.js";

const KINDS = { reward: "Earned by an invitation", withdrawal: "Asked to be paid out", refused: "Given back" };

export async function referralView({ signal }) {
  await customer({ signal });
  const known = await get("/customer/referral", { signal });
  const amount = (minor) => money(minor, known.currency);
  return accountPage("Invitations", invitePanel(known, amount), balancePanel(known, amount), movementsPanel(known, amount));
}

function earns({ amount: fixed, share }, amount) {
  if (fixed) return `${amount(fixed)} for everybody who comes by it and buys something`;
  if (share) return `${share / 100} % of what everybody who comes by it buys first`;
  return "nothing in this shop, but a thank you";
}

function invitePanel(known, amount) {
  const link = `${location.origin}/#/signup?invited_by=${encodeURIComponent(known.invite_token)}`;
  const shown = field("invite", "Your link", { value: link, readonly: true, optional: true, maxlength: "500" });
  shown.querySelector(".soft").remove();
  const input = shown.querySelector("input");
  input.addEventListener("focus", () => input.select());
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(link);
      toast("The link is copied.");
    } catch {
      input.focus(); // selected, for those whose browser keeps the clipboard to itself
    }
  };
  const came = known.invited.map((one) =>
    h("li", {}, h("div", {}, one.name, h("p", { className: "soft" }, "since ", h("time", { datetime: one.joined_at }, day(one.joined_at)))),
      h("span", { className: "soft" }, one.reward === null ? "has not bought anything yet" : amount(one.reward))));
  return h("section", { className: "panel plain" }, h("h2", {}, "Invite others"),
    h("p", {}, `The link earns you ${earns(known.reward, amount)}.`), shown,
    h("p", {}, h("button", { type: "button", className: "button quiet", onclick: copy }, "Copy the link")),
    h("p", { className: "soft" }, known.invited_count ? `Came by it: ${known.invited_count}` : "Nobody has come by it yet."),
    came.length > 0 && h("ul", { className: "entries" }, came));
}

function balancePanel(known, amount) {
  const heading = "Balance";
  if (!known.balance) return h("section", { className: "panel" }, h("h2", {}, heading), h("p", {}, h("strong", { "data-balance": "" }, amount(0))));
  let key = uuid(); // the same for a repeat whose answer was lost, so that it counts once
  return formPanel(heading, [
    h("p", {}, h("strong", { "data-balance": "" }, amount(known.balance))),
    field("amount", "Amount to be paid out", { inputmode: "decimal", autocomplete: "off", maxlength: "15" }),
  ], "Ask to be paid out", async ({ amount: typed }) => {
    const minor = typedAmount(typed, known.currency);
    if (minor === null) throw new Problem(422, { errors: [{ field: "amount", message: `Write it as ${amount(1250)}, without the sign.` }] });
    try {
      await send("POST", "/customer/withdrawals", { amount: minor }, { key });
    } catch (error) {
      if (error.status) key = uuid(); // it was answered, so that the next try is another one
      throw error;
    }
    toast("The shop has been asked.");
    dispatchEvent(new HashChangeEvent("hashchange"));
  }, { quiet: true });
}

function movementsPanel(known, amount) {
  if (!known.movements.length) return null;
  const row = (one) =>
    h("li", {}, h("div", {}, KINDS[one.kind] ?? one.kind, one.status && h("span", { className: "soft" }, `, ${one.status}`),
      h("p", { className: "soft" }, h("time", { datetime: one.at }, day(one.at)))), h("strong", {}, amount(one.amount)));
  return h("section", { className: "panel" }, h("h2", {}, "What happened"), h("ul", { className: "entries" }, known.movements.map(row)));
}
