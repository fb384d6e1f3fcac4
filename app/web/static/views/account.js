// The account: its frame, and the profile with the mail address, the data and the way out.

import { customer, leave, logOut, nowIs } from "../account.js";
import { options, patch, post, remove } from "../api.js";
import { h, show, toast } from "../dom.js";
import { asksOnceMore, field, formPanel, passwordField, whose } from "./form.js";

const PAGES = [["", "Profile"], ["/addresses", "Addresses"], ["/passkeys", "Password and passkeys"], ["/sessions", "Devices"],
  ["/orders", "Orders"], ["/referral", "Invitations"]];

export function accountPage(title, ...children) {
  const link = ([path, label]) =>
    h("li", {}, h("a", { href: `#/account${path}`, "aria-current": label === title ? "page" : undefined }, label));
  return {
    title,
    node: h("div", { className: "account" },
      h("nav", { "aria-label": "Your account" }, h("ul", {}, PAGES.map(link),
        h("li", {}, h("button", { type: "button", className: "link", onclick: logOut }, "Log out")))),
      h("div", { className: "stack" }, h("h1", { tabindex: "-1" }, title), children)),
  };
}

export async function profileView({ signal }) {
  const [me, known] = await Promise.all([customer({ signal }), options()]);
  return accountPage("Profile", mailPanel(me), aboutPanel(me, known), dataPanel(), closePanel(me));
}

function mailPanel(me) {
  const state = h("p", { role: "status" });
  const tell = ({ email, email_verified: verified, new_email: next }) =>
    show(state, h("strong", {}, email), " ",
      h("span", { className: `state ${verified ? "paid" : "failed"}` }, verified ? "confirmed" : "not confirmed yet"),
      next && h("span", { className: "whole" }, "It will be ", h("strong", {}, next), " once you open the link in ", h("a", { href: "#/mails" }, "the mail"), " there."),
      !verified && !next && h("span", { className: "whole" }, "The link in ", h("a", { href: "#/mails" }, "the mail"), " confirms it. ",
        h("button", {
          type: "button", className: "link",
          onclick: async () => {
            try {
              await patch("/customer", { email });
              toast("The mail is on its way again.");
            } catch (error) {
              toast(error.message);
            }
          },
        }, "Send it again")));
  tell(me);
  const proof = h("div", {});
  const form = formPanel("", [field("email", "New mail address", { type: "email", autocomplete: "email", maxlength: "254" }), proof], "Change it", async ({ email, current_password: password }) => {
    try {
      tell(await patch("/customer", { email: email.trim(), ...(password && { current_password: password }) }));
    } catch (error) {
      if (asksOnceMore(error, me, proof, "current_password")) return;
      throw error;
    }
    proof.replaceChildren();
    form.reset();
  }, { quiet: true });
  return h("section", { className: "panel" }, h("h2", {}, "Mail address"), state, h("details", {}, h("summary", {}, "Use another address"), form));
}

function choice(name, label, options, chosen) {
  const node = field(name, label, { optional: true, options: [["", "—"], ...options] });
  node.querySelector("select").value = chosen ?? "";
  return node;
}

function aboutPanel(me, known) {
  const countries = known.countries.map((one) => [one.code, one.name]);
  if (me.country_code && !countries.some(([code]) => code === me.country_code)) countries.push([me.country_code, me.detected_country]);
  const text = (name, label, autocomplete, extra) => field(name, label, { autocomplete, value: me[name] ?? "", maxlength: "100", ...extra });
  return formPanel("About you", h("div", { className: "fields" },
    h("div", { className: "whole" }, text("username", "What we call you", "nickname")),
    text("firstname", "First name", "given-name", { optional: true }), text("lastname", "Last name", "family-name", { optional: true }),
    text("birthday", "Birthday", "bday", { type: "date", optional: true }),
    choice("gender", "Gender", [["female", "female"], ["male", "male"], ["other", "other"]], me.gender),
    choice("relationship", "Relationship", ["Single", "Married", "Engaged", "In a relationship"].map((one) => [one, one.toLowerCase()]), me.relationship),
    choice("country", "Country", countries, me.country_code)),
  "Keep", async ({ username, firstname, lastname, ...rest }, said) => {
    const cleared = Object.fromEntries(Object.entries(rest).map(([name, typed]) => [name, typed || null]));
    const now = await patch("/customer", { username, firstname, lastname, ...cleared });
    nowIs(now.firstname || now.username);
    show(said, h("p", { className: "good" }, "Kept."));
  });
}

function dataPanel() {
  return h("section", { className: "panel" }, h("h2", {}, "Your data"),
    h("p", {}, "Everything that we keep of you, as one file."),
    h("p", {}, h("a", { className: "button quiet", href: "/storefront/v1/customer/export", download: "" }, "Take it along")));
}

function closePanel(me) {
  const form = formPanel("", [
    h("p", {}, "Your name, addresses and logins are deleted. Orders are kept without them, because the law wants their bills kept."),
    me.has_password && [whose(me.email), passwordField("current_password", "Current password", "current-password")],
    h("label", { className: "check" }, h("input", { type: "checkbox", name: "give_up_balance" }), "Whatever I have earned by inviting others goes back to the shop"),
  ], "Close my account", async ({ current_password: password, give_up_balance: given }) => {
    await remove("/customer", undefined, { ...(password && { current_password: password }), give_up_balance: Boolean(given) });
    await leave("Your account is closed.");
  }, { quiet: true });
  return h("section", { className: "panel" }, h("h2", {}, "Close the account"), h("details", {}, h("summary", {}, "Close it for good"), form));
}

// The password, by the current one or, where there is none yet, by a mailed link.
export function passwordPanel(me, done) {
  if (!me.has_password) {
    return formPanel("Password", h("p", {}, "You have none yet. A link to choose one comes by mail."), "Send me the link", async (_, said) => {
      await post("/customer/password/forgot", { email: me.email });
      show(said, h("p", { className: "good" }, "It is on its way. ", h("a", { href: "#/mails" }, "Look among the mails.")));
    }, { quiet: true });
  }
  const form = formPanel("Password", [
    whose(me.email),
    passwordField("current_password", "Current password", "current-password"),
    passwordField("password", "New password", "new-password", { hint: "At least 8 characters. Your other devices are logged out.", minlength: "8" }),
  ], "Change it", async ({ current_password, password }, said) => {
    await post("/customer/password/reset", { current_password, password, confirm_password: password });
    form.reset();
    show(said, h("p", { className: "good" }, "Changed. Other devices are logged out."));
    await done?.();
  }, { quiet: true });
  return form;
}
