// A forgotten password: asking for the link, and choosing a new one with it.

import { arrive } from "../account.js";
import { get, post, Problem } from "../api.js";
import { h, show } from "../dom.js";
import { field, formPanel, passwordField } from "./form.js";

export function forgotView() {
  return {
    title: "Forgot your password?",
    node: h("section", { className: "narrow" }, h("h1", { tabindex: "-1" }, "Forgot your password?"),
      formPanel("", [
        h("p", { className: "soft" }, "We mail you a link to choose a new one."),
        field("email", "Mail address", { type: "email", autocomplete: "username", maxlength: "254" }),
      ], "Send me the link", async ({ email }, said) => {
        await post("/customer/password/forgot", { email: email.trim() });
        show(said, h("p", { className: "good" }, "If this address has an account, the link is on its way. ", h("a", { href: "#/mails" }, "Look among the mails.")));
      }, { after: h("a", { href: "#/login" }, "Back to the login") })),
  };
}

export async function newPasswordView({ query, signal }) {
  const token = query.get("token") ?? "";
  try {
    await get("/customer/password/token", { query: { token }, signal });
  } catch (error) {
    if (!(error instanceof Problem) || error.status !== 404) throw error;
    return {
      title: "This link is over",
      node: h("section", { className: "empty" }, h("h1", { tabindex: "-1" }, "This link is over"),
        h("p", {}, "It was used, a newer one has taken its place, or it is too old."),
        h("a", { className: "button", href: "#/password/forgot" }, "Send me a new one")),
    };
  }
  return {
    title: "Choose a new password",
    node: h("section", { className: "narrow" }, h("h1", { tabindex: "-1" }, "Choose a new password"),
      formPanel("", [
        passwordField("password", "New password", "new-password", { hint: "At least 8 characters. Other devices are logged out.", minlength: "8" }),
      ], "Keep it and log in", async ({ password }) => {
        // It can be looked at as it is typed, so it need not be typed twice.
        await arrive(await post("/customer/password/reset", { password_reset_token: token, password, confirm_password: password }));
      })),
  };
}
