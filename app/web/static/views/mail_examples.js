// Every mail that the shop can write, with example values: as it looks, as text, in each language.

import { dev } from "../api.js";
import { h } from "../dom.js";

export async function mailExamplesView({ params: [language, name], signal }) {
  const { names, languages } = await dev("/mail-examples", { signal });
  const spoken = language ?? languages[0];
  const chosen = name ?? names[0];
  const place = `/mail-examples/${encodeURIComponent(spoken)}/${encodeURIComponent(chosen)}`;
  const mail = await dev(place, { signal });
  const line = (label, text) => h("div", {}, h("dt", {}, label), h("dd", {}, text));
  const link = (text, to, current) => h("a", { href: `#/mails/examples/${to}`, "aria-current": current ? "true" : undefined }, text);
  return {
    title: "Examples of mails",
    node: h("div", {},
      h("header", { className: "list-head" }, h("h1", { tabindex: "-1" }, "Examples of mails"),
        h("nav", { "aria-label": "Languages" }, languages.flatMap((each) => [link(each, `${each}/${chosen}`, each === spoken), " "])),
        h("a", { href: "#/mails" }, "Mails that were sent")),
      h("div", { className: "mails" },
        h("nav", { "aria-label": "Examples" }, h("ul", { className: "mail-list named" }, names.map((each) =>
          h("li", {}, link(each.replaceAll("_", " ").replace(".", ", "), `${spoken}/${each}`, each === chosen))))),
        h("article", { className: "mail panel" }, h("h2", {}, mail.subject),
          h("dl", {}, line("From", mail.sender), line("To", mail.to)),
          h("iframe", { src: `/dev${place}/html`, title: mail.subject, sandbox: "allow-top-navigation-by-user-activation" }),
          h("h3", {}, "As text"), h("pre", {}, mail.text),
          h("h3", {}, "Headers"), h("pre", {}, Object.entries(mail.headers).map(([label, text]) => `${label}: ${text}\n`))))),
  };
}
