// Where the customer is logged in, and the end of it.

import { customer, leave } from "../account.js";
import { get, remove } from "../api.js";
import { h, toast } from "../dom.js";
import { moment } from "../money.js";
import { accountPage } from "./account.js";

export async function sessionsView({ signal }) {
  await customer({ signal });
  const { items } = await get("/customer/sessions", { signal });
  const ending = async (path, leaves, said) => {
    try {
      await remove(path);
    } catch (error) {
      // Whoever has gone meanwhile is not missed.
      if (error.status !== 404) return toast(error.message);
    }
    if (leaves) return leave(said);
    toast(said);
    dispatchEvent(new HashChangeEvent("hashchange"));
  };
  const row = (one) =>
    h("li", {},
      h("div", {}, h("strong", {}, one.device || "Unknown device"), " ", one.current && h("span", { className: "state paid" }, "this one"),
        h("p", { className: "soft" }, "Last seen ", h("time", { datetime: one.last_seen_at }, moment(one.last_seen_at)), ", logged in ",
          h("time", { datetime: one.created_at }, moment(one.created_at)))),
      h("button", {
        type: "button", className: "button quiet", "aria-label": `Log out ${one.device || "unknown device"}${one.current ? ", this device" : ""}`,
        onclick: () => ending(`/customer/sessions/${encodeURIComponent(one.id)}`, one.current, "Logged out there."),
      }, "Log out"));
  return accountPage("Devices",
    h("p", { className: "soft" }, "You are logged in here. Is there one that you do not know? Log it out, and choose a new password."),
    h("ul", { className: "panel entries" }, items.map(row)),
    h("p", {}, h("button", { type: "button", className: "button quiet", onclick: () => ending("/customer/sessions", true, "Logged out everywhere.") }, "Log out everywhere")));
}
