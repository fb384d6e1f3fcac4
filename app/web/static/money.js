// Money arrives in minor units; how many decimals a currency has comes from the shop's options.

const exponents = new Map();

export function learnCurrencies(currencies) {
  for (const one of currencies) exponents.set(one.code, one.exponent);
}

const digitsOf = (currency) =>
  exponents.get(currency) ?? new Intl.NumberFormat(undefined, { style: "currency", currency }).resolvedOptions().maximumFractionDigits;

// An amount as somebody types it, in minor units; null for what is no amount of this currency.
export function typedAmount(text, currency) {
  const found = /^(\d{1,9})(?:[.,](\d+))?$/.exec(text.trim());
  const digits = digitsOf(currency);
  if (!found || (found[2] ?? "").length > digits) return null;
  return Number(found[1] + (found[2] ?? "").padEnd(digits, "0"));
}

export function money(minor, currency) {
  const digits = digitsOf(currency);
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
