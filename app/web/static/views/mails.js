// The mails that the shop has written. In development they are files; here they can be read.

import { dev } from "../api.js";
import { h } from "../dom.js";
import { moment } from "../money.js";

export async function mailsView({ params: [name], signal }) {
  const list = await dev("/mails", { signal });
  const again = h("button", { type: "button", className: "button quiet", onclick: () => dispatchEvent(new HashChangeEvent("hashchange")) }, "Look again");
  const head = h("header", { className: "list-head" }, h("h1", { tabindex: "-1" }, "Mails"),
    h("a", { href: "#/mails/examples" }, "Examples of every mail"), again);
  if (!list.items.length) {
    return {
      title: "Mails",
      node: h("div", {}, head, h("div", { className: "empty" }, h("p", {}, list.over_smtp
        ? "This shop sends its mails by SMTP, so none are kept here."
        : "No mail has been written yet. Place an order, and its confirmation comes within seconds."))),
    };
  }
  const chosen = name ?? list.items[0].name;
  const mail = await dev(`/mails/${encodeURIComponent(chosen)}`, { signal });
  const line = (label, text) => h("div", {}, h("dt", {}, label), h("dd", {}, text));
  return {
    title: mail.subject,
    node: h("div", {}, head,
      h("div", { className: "mails" },
        h("nav", { "aria-label": "Mails" }, h("ul", { className: "mail-list" }, list.items.map((one) =>
          h("li", {}, h("a", { href: `#/mails/${encodeURIComponent(one.name)}`, "aria-current": one.name === chosen ? "true" : undefined },
            h("strong", {}, one.subject), h("span", { className: "soft" }, one.to), h("span", { className: "soft" }, moment(one.at))))))),
        h("article", { className: "mail panel" }, h("h2", {}, mail.subject),
          h("dl", {}, line("From", mail.sender), line("To", mail.to), line("At", moment(mail.at))),
          mail.has_html
            ? h("iframe", { src: `/dev/mails/${encodeURIComponent(mail.name)}/html`, title: mail.subject, sandbox: "allow-top-navigation-by-user-activation" })
            : h("pre", {}, mail.text)))),
  };
}
