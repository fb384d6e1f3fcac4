// The address book: a card for each address, and the form that writes one.

import { customer } from "../account.js";
import { get, options, post, put, remove, uuid } from "../api.js";
import { h, toast } from "../dom.js";
import { accountPage } from "./account.js";
import { addressFields, addressLines, readAddress } from "./address.js";
import { formPanel } from "./form.js";

const PLACE = "/customer/addresses";
const again = () => dispatchEvent(new HashChangeEvent("hashchange"));

export async function addressesView({ signal }) {
  const { shipping_info: addresses } = await customer({ signal });
  const trying = async (act, said) => {
    try {
      await act();
      toast(said);
      again();
    } catch (error) {
      toast(error.message);
    }
  };
  const card = (one) =>
    h("li", { className: "panel" }, addressLines(one),
      h("p", { className: "row" },
        one.is_default
          ? h("span", { className: "state paid" }, "Default")
          : h("button", {
              type: "button", className: "link", "data-keep": `default-${one.id}`,
              onclick: () => trying(() => put(`${PLACE}/${one.id}`, { ...one, is_default: true }), "Parcels go there by default."),
            }, "Make default"),
        h("a", { href: `#/account/addresses/${one.id}`, "aria-label": `Change the address in ${one.address_one}` }, "Change"),
        h("button", {
          type: "button", className: "link", "aria-label": `Remove the address in ${one.address_one}`,
          onclick: () => trying(() => remove(`${PLACE}/${one.id}`), "Removed."),
        }, "Remove")));
  return accountPage("Addresses",
    addresses.length ? h("ul", { className: "cards-of-addresses" }, addresses.map(card)) : h("p", { className: "soft" }, "None yet. What is here is filled in at the checkout."),
    h("p", {}, h("a", { className: "button", href: "#/account/addresses/new" }, "Add an address")));
}

export async function addressView({ params: [id], signal }) {
  const known = await options();
  const value = id === "new" ? undefined : await get(`${PLACE}/${id}`, { signal });
  // Asked for anew with each form: a second click on "Keep" then makes no second address.
  const key = uuid();
  const fields = addressFields("", known.countries, { section: "shipping", value });
  const isDefault = h("input", { type: "checkbox", name: "is_default", checked: Boolean(value?.is_default) });
  const form = formPanel("", [fields.node, h("label", { className: "check" }, isDefault, "Parcels go there by default")], "Keep", async () => {
    // What has no field here stays as it is.
    const address = { apartment_suite: value?.apartment_suite ?? undefined, ...readAddress(form, "") };
    if (value) await put(`${PLACE}/${id}`, { ...address, is_default: isDefault.checked });
    else await post(PLACE, { ...address, ...(isDefault.checked && { is_default: true }) }, { key });
    toast("Kept.");
    location.hash = "#/account/addresses";
  }, { after: h("a", { href: "#/account/addresses" }, "Back to the addresses") });
  return { ...accountPage("Addresses", h("h2", {}, value ? "Change an address" : "A new address"), form), title: value ? "Change an address" : "A new address" };
}
