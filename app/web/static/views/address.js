// The address part of a form: countries and regions as the shop's options have them.

import { h } from "../dom.js";
import { field } from "./form.js";

const NEEDS_REGION = new Set(["US", "CA", "AU"]);
const REGION_WORDS = { US: "State", CA: "Province or territory", AU: "State or territory", JP: "Prefecture", CH: "Canton", GB: "Country" };

const PARTS = ["first_name", "last_name", "company", "address_one", "address_two", "zip", "city", "country", "region", "phone"];

export const EXAMPLE = {
  first_name: "Robin", last_name: "Harlow", address_one: "12 Tarn Lane", city: "Portland", zip: "97205",
  country: "US", region: "US-OR", phone: "(503) 555-0142",
};

const nameIn = (prefix, part) => (prefix ? `${prefix}.${part}` : part);

// An address may lie where the shop does not ship to: its own country is among the choices all the same.
function withOwn(countries, value) {
  if (!value?.country_code || countries.some((one) => one.code === value.country_code)) return countries;
  const regions = value.province ? [{ code: value.province, name: value.region }] : [];
  return [...countries, { code: value.country_code, name: value.country, regions }];
}

export function addressFields(prefix, shippedTo, { section, value } = {}) {
  const countries = withOwn(shippedTo, value);
  const name = (part) => nameIn(prefix, part);
  const complete = (token) => `${section} ${token}`;
  const text = (part, label, token, extra = {}) =>
    field(name(part), label, { autocomplete: complete(token), value: value?.[part] ?? undefined, ...extra });
  const country = field(name("country"), "Country", {
    autocomplete: complete("country"), options: countries.map((one) => [one.code, one.name]),
  });
  const chosen = country.querySelector("select");
  const regionPlace = h("div", {});
  const drawRegion = (region) => {
    const found = countries.find((one) => one.code === chosen.value);
    const optional = !NEEDS_REGION.has(found?.code);
    const regions = found?.regions ?? [];
    regionPlace.replaceChildren(
      regions.length
        ? field(name("region"), REGION_WORDS[found.code] ?? "Region", {
            autocomplete: complete("address-level1"), optional,
            options: [["", optional ? "—" : "Choose…"], ...regions.map((one) => [one.code, one.name])],
          })
        : "");
    const select = regionPlace.querySelector("select");
    if (select && region) select.value = region;
  };
  chosen.addEventListener("change", () => drawRegion());
  const setCountry = (code, region) => {
    if (countries.some((one) => one.code === code)) chosen.value = code;
    drawRegion(region);
  };
  setCountry(value?.country_code ?? guessCountry(countries), value?.province);
  const node = h("div", { className: "fields" },
    text("first_name", "First name", "given-name"), text("last_name", "Last name", "family-name"),
    h("div", { className: "whole" }, text("address_one", "Street and number", "address-line1")),
    text("address_two", "Building, floor", "address-line2", { optional: true }),
    text("company", "Company", "organization", { optional: true }),
    text("zip", "Postal code", "postal-code"), text("city", "City", "address-level2"),
    country, regionPlace,
    h("div", { className: "whole" }, text("phone", "Phone", "tel", { type: "tel", hint: "For the carrier only." })));
  const fill = (example) => {
    setCountry(example.country, example.region);
    for (const [part, typed] of Object.entries(example)) {
      const control = node.querySelector(`input[name="${name(part)}"]`);
      if (control) control.value = typed ?? "";
    }
  };
  return { node, fill };
}

function guessCountry(countries) {
  const [, region] = (navigator.language || "").split("-");
  return countries.some((one) => one.code === region) ? region : countries[0]?.code;
}

export function readAddress(form, prefix) {
  const address = {};
  for (const part of PARTS) {
    const typed = form.elements.namedItem(nameIn(prefix, part))?.value.trim();
    if (typed) address[part] = typed;
  }
  return address;
}

// An address as it is written on a parcel.
export function addressLines(address) {
  const lines = [
    `${address.first_name} ${address.last_name}`, address.company, address.address_one, address.address_two, address.apartment_suite,
    [address.zip, address.city].filter(Boolean).join(" "), [address.region, address.country].filter(Boolean).join(", "), address.phone,
  ];
  return h("address", {}, lines.filter(Boolean).map((line) => h("span", {}, line)));
}
