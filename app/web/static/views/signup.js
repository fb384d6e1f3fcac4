// Making an account, and the link that proves its mail address.

import { arrive, brought, findCustomer } from "../account.js";
import { get, options, post } from "../api.js";
import { h } from "../dom.js";
import { field, formPanel, passwordField } from "./form.js";
import { nextOf } from "./login.js";
import { providerLinks } from "./provider.js";

export async function signupView({ query, signal }) {
  const next = nextOf(query);
  const [{ generate_password_for_user_automatically: made }, { login_providers: providers }] =
    await Promise.all([get("/settings/customer-password", { signal }), options()]);
  const others = providerLinks(providers, next);
  return {
    title: "Make an account",
    node: h("section", { className: "narrow" }, h("h1", { tabindex: "-1" }, "Make an account"),
      formPanel("", [
        field("username", "Your name", { autocomplete: "name", maxlength: "100" }),
        field("email", "Mail address", { type: "email", autocomplete: "email", maxlength: "254" }),
        made
          ? h("p", { className: "soft" }, "A link to choose a password comes by mail.")
          : passwordField("password", "Password", "new-password", { hint: "At least 8 characters: a few words are easy to keep in mind.", minlength: "8" }),
        h("label", { className: "check" }, h("input", { type: "checkbox", name: "subscribe" }), "Write to me when something new is in"),
      ], "Make my account", async ({ username, email, password, subscribe }) => {
        const customer = await post("/customer/signup", {
          username, email: email.trim(), password, subscribe: Boolean(subscribe),
          time_zone: Intl.DateTimeFormat().resolvedOptions().timeZone, invited_by_token: query.get("invited_by") || undefined, ...brought(),
        });
        await arrive(customer, next);
      }),
      others.length > 0 && h("div", { className: "stack tight" }, h("p", { className: "or soft" }, h("span", {}, "or")), others),
      h("p", {}, "You have one already? ", h("a", { href: next ? `#/login?next=${encodeURIComponent(next)}` : "#/login" }, "Log in"))),
  };
}

export async function verifyView({ query, signal }) {
  const token = query.get("token") ?? "";
  const known = await findCustomer({ signal });
  try {
    await post("/customer/email/verify", { token }, { signal });
  } catch (error) {
    // A login by a mailed code or link has proven the address already, and ended this link.
    if (error.code !== "token_not_usable" || !known?.email_verified || known.new_email) throw error;
  }
  // The address of the page must not keep the secret.
  history.replaceState(null, "", "#/verify");
  return {
    title: "Thank you",
    node: h("section", { className: "empty" }, h("h1", { tabindex: "-1" }, "Thank you"),
      h("p", {}, "Your mail address is confirmed."),
      h("a", { className: "button", href: known ? "#/account" : "#/login" }, known ? "Your account" : "Log in")),
  };
}
