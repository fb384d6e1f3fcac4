// Builds nodes. Text only ever becomes a text node: nothing here parses HTML but `prose`, which copies a short
// list of elements without their attributes.

const SAFE = new Set(["P", "UL", "OL", "LI", "STRONG", "B", "EM", "I", "BR", "H2", "H3", "H4", "BLOCKQUOTE", "SPAN", "DIV"]);
const DROPPED = new Set(["SCRIPT", "STYLE", "IFRAME", "OBJECT", "TEMPLATE", "NOSCRIPT"]);

export function h(tag, properties, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(properties ?? {})) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name in node && !name.includes("-") && typeof value !== "string") node[name] = value;
    else node.setAttribute(name === "className" ? "class" : name, value === true ? "" : value);
  }
  append(node, children);
  return node;
}

function append(node, children) {
  for (const child of children.flat(Infinity)) {
    if (child === undefined || child === null || child === false) continue;
    node.append(child);
  }
}

export function show(target, ...children) {
  target.replaceChildren();
  append(target, children);
}

export function prose(html) {
  const parsed = new DOMParser().parseFromString(html ?? "", "text/html");
  const copy = (from, to) => {
    for (const child of from.childNodes) {
      if (child.nodeType === Node.TEXT_NODE) to.append(child.data);
      else if (child.nodeType === Node.ELEMENT_NODE && !DROPPED.has(child.tagName)) {
        const target = SAFE.has(child.tagName) ? document.createElement(child.tagName) : to;
        copy(child, target);
        if (target !== to) to.append(target);
      }
    }
  };
  const node = h("div", { className: "prose" });
  copy(parsed.body, node);
  return node;
}

export function plainText(html) {
  return new DOMParser().parseFromString(html ?? "", "text/html").body.textContent.trim();
}

// A line's title carries the variant's; where both are shown, once is enough.
export function nameOf({ title, variant_title: variant }) {
  return variant && title.endsWith(` - ${variant}`) ? title.slice(0, -variant.length - 3) : title;
}

let toastTimer = 0;
export function toast(text) {
  const place = document.querySelector("[data-toast]");
  place.textContent = text;
  place.classList.add("shown");
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => place.classList.remove("shown"), 3500);
}

// Pictures of this shop come from this server; those of imported files stand elsewhere and are not fetched.
function ownPath(src) {
  try {
    const url = new URL(src, location.href);
    return url.origin === location.origin || /^\/(demo\/images|files|images)\//.test(url.pathname) ? url.pathname : null;
  } catch {
    return null;
  }
}

// `srcset` as the shop answers it for pictures that it keeps; `sizes` says how wide the page shows them.
export function picture(src, alt, { eager = false, srcset = "", sizes = "(max-width: 600px) 50vw, 300px" } = {}) {
  const path = src && ownPath(src);
  if (!path) return h("div", { className: "no-picture", role: "img", "aria-label": alt || "No picture" }, (alt || "·").slice(0, 1));
  const choices = srcset && srcset.split(", ").map((one) => one.split(" ")).map(([one, width]) => `${ownPath(one)} ${width}`).join(", ");
  return h("img", {
    ...(choices && { sizes, srcset: choices }), src: path, alt, loading: eager ? "eager" : "lazy", decoding: "async", width: 600, height: 600,
  });
}
