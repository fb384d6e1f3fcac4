// Logging in at another provider: there by a link, and back with a code or with the reason why not.

import { arrive, brought } from "../account.js";
import { post } from "../api.js";
import { h } from "../dom.js";
import { field, formPanel, passwordField } from "./form.js";

const WHY_NOT = {
  login_cancelled: "You have left the login there without finishing it.",
  unavailable: "It cannot be reached just now.",
};
const nameOf = (word) => word.charAt(0).toUpperCase() + word.slice(1).replaceAll(/[-_]/g, " ");

// What the provider's redirect brought; it stood in the address of the page and is kept nowhere else.
let handover = null;

export function takeHandover() {
  const back = new URLSearchParams(location.search);
  if (!back.has("provider")) return;
  handover = { provider: back.get("provider"), code: back.get("code"), error: back.get("error") };
  history.replaceState(null, "", `${location.pathname}#/login/provider`);
}

export function providerLinks(providers, next) {
  return providers.filter((one) => one.redirect).map((one) =>
    h("a", { className: "button quiet wide", href: one.redirect, onclick: () => sessionStorage.setItem("next", next) }, `Continue with ${nameOf(one.name)}`));
}

export async function providerView() {
  const found = handover;
  handover = null;
  if (!found) {
    location.replace("#/login");
    return { title: "Log in", node: h("p", {}, "") };
  }
  const name = nameOf(found.provider);
  const page = (...children) => ({ title: "Log in", node: h("section", { className: "narrow" }, h("h1", { tabindex: "-1" }, `Log in with ${name}`), children) });
  const again = h("a", { className: "button", href: "#/login" }, "Log in another way");
  const finish = async (more) => {
    const customer = await post("/customer/oauth/finish", { code: found.code, ...more, ...brought() });
    await arrive(customer, sessionStorage.getItem("next"));
    sessionStorage.removeItem("next");
  };
  if (!found.code) return page(h("p", {}, WHY_NOT[found.error] ?? "That did not work."), h("p", {}, again));
  try {
    await finish({});
  } catch (error) {
    if (error.code === "link_needs_password") {
      return page(formPanel("Is this your account?", [
        h("p", {}, `There is an account with the mail address that ${name} names. Its password links the two; from then on either way leads in.`),
        passwordField("password", "Password", "current-password"),
      ], "Link and log in", finish));
    }
    if (error.code === "email_needed") {
      return page(formPanel("One thing is missing", [
        h("p", {}, `${name} does not tell your mail address. With a new one you make an account; with that of your account here you link the two.`),
        field("email", "Mail address", { type: "email", autocomplete: "email", maxlength: "254" }),
        passwordField("password", "Password", "new-password"),
      ], "Go on", finish));
    }
    if (!error.code) throw error;
    return page(h("p", { className: "fault" }, error.message), h("p", {}, again));
  }
  return page(h("p", { className: "soft" }, "You are logged in."));
}
