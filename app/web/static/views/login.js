// Logging in: by password, by a mailed code, by passkey, by another provider, or by a mailed link.

import { arrive, brought } from "../account.js";
import { options, post, Problem } from "../api.js";
import { h, show } from "../dom.js";
import { askForPasskey, canUsePasskeys } from "../passkeys.js";
import { loggedInAs } from "../store.js";
import { clearFaults, field, formPanel, passwordField, showFaults } from "./form.js";
import { providerLinks } from "./provider.js";

export const nextOf = (query) => (/^\/[a-z]/.test(query.get("next") ?? "") ? query.get("next") : "");
const withNext = (path, next) => `#${path}${next ? `?next=${encodeURIComponent(next)}` : ""}`;

const remember = () =>
  h("label", { className: "check" }, h("input", { type: "checkbox", name: "remember_me", checked: true }), "Stay logged in on this device");

const mailField = (extra) => field("email", "Mail address", { type: "email", autocomplete: "username webauthn", maxlength: "254", ...extra });

export async function loginView({ query }) {
  if (query.get("uuid")) return linkPage(query.get("uuid"));
  const next = nextOf(query);
  const place = h("div", { className: "stack" });
  const providers = providerLinks((await options()).login_providers, next);
  show(place, passwordForm(place, next), otherWays(place, next, providers));
  return {
    title: "Log in",
    node: h("section", { className: "narrow" }, h("h1", { tabindex: "-1" }, "Log in"),
      loggedInAs() && h("p", { className: "soft" }, `You are logged in as ${loggedInAs()}. `, h("a", { href: "#/account" }, "Your account")),
      place,
      h("p", {}, "New here? ", h("a", { href: withNext("/signup", next) }, "Make an account"))),
  };
}

function passwordForm(place, next) {
  return formPanel("", [mailField(), passwordField("password", "Password", "current-password"), remember()], "Log in",
    async ({ email, password, remember_me: kept }) => {
      try {
        await arrive(await post("/customer/login", { email: email.trim(), password, remember_me: Boolean(kept), ...brought() }), next);
      } catch (error) {
        if (error.status === 401) {
          const typed = place.querySelector("input[name=password]");
          typed.focus();
          typed.select();
        }
        throw error;
      }
    }, { after: h("a", { href: "#/password/forgot" }, "Forgot your password?") });
}

function otherWays(place, next, providers) {
  const said = h("p", { className: "fault", role: "alert" });
  const trying = async (button, act) => {
    said.textContent = "";
    button.disabled = true;
    try {
      await act();
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      said.textContent = showFaults(place.querySelector("form"), error);
    } finally {
      button.disabled = false;
    }
  };
  const code = h("button", {
    type: "button", className: "button quiet wide",
    onclick: () => {
      const form = place.querySelector("form");
      const typed = form.elements.namedItem("email");
      clearFaults(form);
      if (!typed.reportValidity()) return;
      trying(code, async () => {
        await post("/customer/login/code", { email: typed.value.trim() });
        show(place, codeForm(typed.value.trim(), form.elements.namedItem("remember_me").checked, next));
        place.querySelector("input").focus();
      });
    },
  }, "Mail me a code");
  const passkey = canUsePasskeys() && h("button", {
    type: "button", className: "button quiet wide",
    onclick: () => trying(passkey, async () => {
      await arrive(await post("/customer/login/passkey", { ...(await askForPasskey()), ...brought() }), next);
    }),
  }, "Use a passkey");
  return h("section", { className: "stack tight", "aria-label": "Other ways to log in" },
    h("p", { className: "or soft" }, h("span", {}, "or")), code, passkey, providers, said);
}

function codeForm(email, kept, next) {
  return h("div", { className: "stack" },
    formPanel("Look into your mails", [
      h("p", {}, "If ", h("strong", {}, email), " has an account here, six digits are on their way there. They work for ten minutes. ",
        h("a", { href: "#/mails", target: "_blank" }, "Open the mails")),
      field("code", "Code", { inputmode: "numeric", autocomplete: "one-time-code", maxlength: "40", className: "digits" }),
    ], "Log in", async ({ code }) => {
      await arrive(await post("/customer/login/code/confirm", { email, code, remember_me: kept, ...brought() }), next);
    }, { after: h("button", { type: "button", className: "link", onclick: () => dispatchEvent(new HashChangeEvent("hashchange")) }, "Log in another way") }));
}

// A mailed link works once. It waits for a click, so that a program that looks at mails does not use it up.
function linkPage(uuid) {
  return {
    title: "Log in",
    node: h("section", { className: "narrow" }, h("h1", { tabindex: "-1" }, "Log in"),
      formPanel("", h("p", {}, "Your link from the mail logs you in on this device."), "Log me in", async () => {
        await arrive(await post("/customer/login/uuid", { uuid, ...brought() }));
      })),
  };
}
