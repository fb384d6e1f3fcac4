// What logs the customer in besides a mail: the password, and passkeys.

import { customer } from "../account.js";
import { get, post, remove, uuid } from "../api.js";
import { h, toast } from "../dom.js";
import { moment } from "../money.js";
import { canUsePasskeys, makePasskey } from "../passkeys.js";
import { accountPage, passwordPanel } from "./account.js";
import { asksOnceMore, field, formPanel } from "./form.js";

const PLACE = "/customer/passkeys";
const again = () => dispatchEvent(new HashChangeEvent("hashchange"));

export async function passkeysView({ signal }) {
  const me = await customer({ signal });
  const { items } = await get(PLACE, { signal });
  return accountPage("Password and passkeys", listPanel(items, canUsePasskeys() && addForm(me)), passwordPanel(me));
}

function listPanel(items, form) {
  const row = (one) =>
    h("li", {},
      h("div", {}, h("strong", {}, one.name), one.backed_up && [" ", h("span", { className: "state" }, "on your other devices too")],
        h("p", { className: "soft" }, `Added ${moment(one.created_at)}`, one.last_used_at ? `, last used ${moment(one.last_used_at)}` : ", not used yet")),
      h("button", {
        type: "button", className: "button quiet", "aria-label": `Remove the passkey ${one.name}`,
        onclick: async () => {
          try {
            await remove(`${PLACE}/${one.id}`);
            toast("It opens nothing any more.");
            again();
          } catch (error) {
            toast(error.message);
          }
        },
      }, "Remove"));
  return h("section", { className: "panel" }, h("h2", {}, "Passkeys"),
    h("p", { className: "soft" }, "A passkey is kept by your device and opened as the device is: by finger, face or PIN. Nobody can guess it, or trick it out of you."),
    items.length > 0 && h("ul", { className: "entries" }, items.map(row)),
    form || h("p", {}, "This browser cannot make any."));
}

function addForm(me) {
  const proof = h("div", {});
  return formPanel("", [
    field("name", "A name for it", { optional: true, maxlength: "60", placeholder: "My phone" }), proof,
  ], "Add a passkey", async ({ name, password }) => {
    try {
      const credential = await makePasskey(password ? { password } : {});
      await post(PLACE, { credential, name: name.trim() }, { key: uuid() });
    } catch (error) {
      if (asksOnceMore(error, me, proof, "password")) return;
      throw error;
    }
    toast("From now on it logs you in.");
    again();
  });
}
