// Form fields whose faults are said where they are: the API's own words beside the field that it names.

import { h } from "../dom.js";

let serial = 0;

export function field(name, label, { type = "text", optional = false, hint, options, ...attributes } = {}) {
  serial += 1;
  const id = `f${serial}`;
  const common = { id, name, "aria-describedby": `${id}-fault`, required: !optional, ...attributes };
  const control = options
    ? h("select", common, options.map(([value, text]) => h("option", { value }, text)))
    : h("input", { type, maxlength: "200", ...common });
  return h("div", { className: "field" },
    h("label", { for: id }, label, optional && h("span", { className: "soft" }, " (optional)")),
    control,
    hint && h("p", { className: "soft small-print" }, hint),
    h("p", { className: "fault", id: `${id}-fault`, "data-fault": name }));
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
