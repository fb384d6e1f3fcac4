// The newsletter: asked for here, confirmed and ended by the links in its mails.

import { get, post, put } from "../api.js";
import { h, show, toast } from "../dom.js";
import { field, formPanel } from "./form.js";

const STATES = {
  pending: "The link in the mail begins it.",
  subscribed: "You get our newsletter.",
  unsubscribed: "You get no newsletter from us.",
};

export function newsletterView() {
  return {
    title: "Newsletter",
    node: h("section", { className: "narrow" }, h("h1", { tabindex: "-1" }, "Newsletter"),
      formPanel("What is new, now and then", field("email", "Mail address", { type: "email", autocomplete: "email", maxlength: "254" }), "Send it to me",
        async (values, said) => {
          const asked = await post("/subscriptions", { email: values.email, behaviour: "footer" });
          show(said, h("p", {}, asked.status === "pending"
            ? ["Please look at ", h("a", { href: "#/mails" }, "your mails"), ": the newsletter begins with the link in one."]
            : "The newsletter is on its way to you."));
        })),
  };
}

export async function confirmNewsletterView({ query, signal }) {
  const confirmed = await post("/subscriptions/confirm", { token: query.get("token") ?? "" }, { signal });
  // The address of the page must not keep the secret.
  history.replaceState(null, "", `#/newsletter/${confirmed.uuid}`);
  return { title: "Newsletter", node: page(confirmed) };
}

export async function subscriptionView({ params: [uuid], signal }) {
  return { title: "Newsletter", node: page(await get(`/subscriptions/${encodeURIComponent(uuid)}`, { signal })) };
}

function page(found) {
  const place = `/subscriptions/${found.uuid}`;
  const [year, month, day] = (found.birthday ?? "--").split("-");
  const number = (name, label, value, max) => field(name, label, { type: "number", min: "1", max, value: value && String(Number(value)) });
  const state = h("p", { role: "status" }, STATES[found.status]);
  const gender = field("gender", "Gender", { options: [["female", "female"], ["male", "male"], ["other", "other"]] });
  gender.querySelector("select").value = found.gender ?? "other";
  return h("section", { className: "narrow" }, h("h1", { tabindex: "-1" }, "Your newsletter"), h("p", { className: "soft" }, found.email), state,
    formPanel("About you", [
      field("name", "Name", { autocomplete: "name", value: found.name ?? "" }),
      number("day", "Day of birth", day, "31"), number("month", "Month", month, "12"), number("year", "Year", year, "9999"), gender,
    ], "Keep", async (values, said) => {
      const { name, gender: chosen } = values;
      await put(place, { name, gender: chosen, day: Number(values.day), month: Number(values.month), year: Number(values.year) });
      show(said, h("p", {}, "Kept."));
    }),
    formPanel("No more", field("unsubscribe_note", "Would you tell us why?", { optional: true, maxlength: "10000" }), "Unsubscribe", async (values) => {
      const ended = await post(`${place}/unsubscribe`, { unsubscribe_note: values.unsubscribe_note });
      state.textContent = STATES[ended.status];
      toast(STATES[ended.status]);
    }));
}
