// Money arrives in minor units; how many decimals a currency has comes from the shop's options.

const exponents = new Map();

export function learnCurrencies(currencies) {
  for (const one of currencies) exponents.set(one.code, one.exponent);
}

export function money(minor, currency) {
  const named = new Intl.NumberFormat(undefined, { style: "currency", currency });
  const digits = exponents.get(currency) ?? named.resolvedOptions().maximumFractionDigits;
  return new Intl.NumberFormat(undefined, {
    style: "currency",
    currency,
    minimumFractionDigits: digits,
    maximumFractionDigits: digits,
  }).format(minor / 10 ** digits);
}

let shopCurrency = "USD";
export function setCurrency(code) {
  shopCurrency = code;
}
export const price = (minor) => money(minor, shopCurrency);

export function day(text) {
  return new Date(text).toLocaleDateString(undefined, { day: "numeric", month: "long", year: "numeric" });
}

export function moment(text) {
  return new Date(text).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });
}
