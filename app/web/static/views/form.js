// Form fields whose faults are said where they are: the API's own words beside the field that it names.

import { Problem } from "../api.js";
import { h, show } from "../dom.js";

let serial = 0;

export function field(name, label, { type = "text", optional = false, hint, options, area = false, value, ...attributes } = {}) {
  serial += 1;
  const id = `f${serial}`;
  const common = { id, name, "aria-describedby": `${id}-fault`, required: !optional, ...attributes };
  const control = options
    ? h("select", common, options.map(([choice, text]) => h("option", { value: choice }, text)))
    : area ? h("textarea", { rows: "3", ...common }, value) : h("input", { type, maxlength: "200", value, ...common });
  return h("div", { className: "field" },
    h("label", { for: id }, label, optional && h("span", { className: "soft" }, " (optional)")),
    control,
    hint && h("p", { className: "soft small-print" }, hint),
    h("p", { className: "fault", id: `${id}-fault`, "data-fault": name }));
}

export function passwordField(name, label, autocomplete, extra = {}) {
  const node = field(name, label, { type: "password", autocomplete, ...extra });
  const input = node.querySelector("input");
  const toggle = h("button", {
    type: "button", className: "link", "aria-pressed": "false", "aria-controls": input.id,
    onclick: () => {
      const shown = input.type === "text";
      input.type = shown ? "password" : "text";
      toggle.setAttribute("aria-pressed", String(!shown));
      toggle.textContent = shown ? "Show" : "Hide";
    },
  }, "Show");
  const box = h("div", { className: "reveal" });
  input.replaceWith(box);
  box.append(input, toggle);
  return node;
}

// For those who keep passwords: whose the one in this form is.
export const whose = (email) => h("input", { type: "email", name: "whose", value: email, autocomplete: "username", hidden: true, tabindex: "-1" });

// A login of long ago might be somebody else's by now: puts the password into a form whose call was refused for it.
// Whether there is something to type in now; else the refusal is to be shown.
export function asksOnceMore(error, me, proof, name) {
  if (error.code !== "fresh_login_needed" || !me.has_password || proof.hasChildNodes()) return false;
  proof.replaceChildren(whose(me.email), passwordField(name, "Password", "current-password", { hint: "Your login is some time ago, so we ask once more." }));
  proof.querySelector("[type=password]").focus();
  return true;
}

// A panel with a heading, whose form sends its values; what `send` cannot do is said where it belongs.
export function formPanel(heading, fields, label, send, { quiet = false, after } = {}) {
  const said = h("div", { role: "status" });
  const button = h("button", { type: "submit", className: quiet ? "button quiet" : "button" }, label);
  const node = h("form", {
    className: "panel find",
    onsubmit: async (event) => {
      event.preventDefault();
      clearFaults(node);
      show(said);
      button.disabled = true;
      try {
        await send(Object.fromEntries(new FormData(node)), said);
      } catch (error) {
        if (!(error instanceof Problem)) throw error;
        const text = showFaults(node, error);
        if (text) show(said, h("p", { className: "fault" }, text));
      } finally {
        button.disabled = false;
      }
    },
  }, heading && h("h2", {}, heading), fields, h("div", { className: "row" }, button, after), said);
  return node;
}

export function clearFaults(form) {
  for (const place of form.querySelectorAll("[data-fault]")) place.textContent = "";
  for (const control of form.querySelectorAll("[aria-invalid]")) control.removeAttribute("aria-invalid");
}

// Puts each fault at its field; what names no field of this form comes back as text.
export function showFaults(form, error) {
  const homeless = [];
  let first = null;
  for (const one of error.errors) {
    const control = form.elements.namedItem(one.field);
    const place = form.querySelector(`[data-fault="${CSS.escape(one.field)}"]`);
    if (!control || !place) {
      homeless.push(one.field ? `${one.field}: ${one.message}` : one.message);
      continue;
    }
    place.textContent = one.message;
    control.setAttribute("aria-invalid", "true");
    first ??= control;
  }
  first?.focus();
  return error.errors.length && !homeless.length ? "" : homeless.join(" ") || error.message;
}
