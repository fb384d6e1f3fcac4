"""Which column of a product file means what: both vocabularies of Shopify's export, markets and metafields."""

import re
from collections.abc import Iterable, Mapping
from typing import Final

import msgspec


class FileError(ValueError):
    """The file as a whole cannot be read; the message says what to change."""


# Our name for a column, then the names it has in files: the older header first, the newer one after it.
KNOWN: Final[Mapping[str, tuple[str, ...]]] = {
    "handle": ("Handle", "URL handle"),
    # Not of Shopify's: the handle that the product had before, so that a file can rename it.
    "former_handle": ("Former Handle", "Former URL handle"),
    "title": ("Title",),
    "body_html": ("Body (HTML)", "Body HTML", "Description"),
    "vendor": ("Vendor",),
    "product_category": ("Product Category",),
    "type": ("Type",),
    "tags": ("Tags",),
    "published": ("Published", "Published on online store"),
    "status": ("Status",),
    **{f"option{n}_name": (f"Option{n} Name",) for n in (1, 2, 3)},
    **{f"option{n}_value": (f"Option{n} Value",) for n in (1, 2, 3)},
    **{f"option{n}_linked_to": (f"Option{n} Linked To",) for n in (1, 2, 3)},
    "sku": ("Variant SKU", "SKU"),
    "barcode": ("Variant Barcode", "Barcode"),
    "grams": ("Variant Grams", "Weight value (grams)"),
    "weight_unit": ("Variant Weight Unit", "Weight unit for display"),
    "tracker": ("Variant Inventory Tracker", "Inventory tracker"),
    "quantity": ("Variant Inventory Qty", "Inventory quantity"),
    "policy": ("Variant Inventory Policy", "Continue selling when out of stock"),
    "fulfillment_service": ("Variant Fulfillment Service", "Fulfillment service"),
    "price": ("Variant Price", "Price"),
    "compare_at_price": ("Variant Compare At Price", "Compare-at price"),
    "requires_shipping": ("Variant Requires Shipping", "Requires shipping"),
    "taxable": ("Variant Taxable", "Charge tax"),
    "tax_code": ("Variant Tax Code", "Tax code"),
    "cost": ("Cost per item",),
    "image_src": ("Image Src", "Product image URL"),
    "image_position": ("Image Position",),
    "image_alt": ("Image Alt Text",),
    "variant_image": ("Variant Image", "Variant image URL"),
    "gift_card": ("Gift Card",),
    "seo_title": ("SEO Title",),
    "seo_description": ("SEO Description",),
    "google.product_category": ("Google Shopping / Google Product Category",),
    "google.gender": ("Google Shopping / Gender",),
    "google.age_group": ("Google Shopping / Age Group",),
    "google.mpn": ("Google Shopping / MPN", "Google Shopping / Manufacturer part number (MPN)"),
    "google.ad_group_name": ("Google Shopping / AdWords Grouping", "Google Shopping / Ad group name"),
    "google.ads_labels": ("Google Shopping / AdWords Labels", "Google Shopping / Ads labels"),
    "google.condition": ("Google Shopping / Condition",),
    "google.custom_product": ("Google Shopping / Custom Product",),
    **{f"google.custom_label_{n}": (f"Google Shopping / Custom Label {n}",) for n in range(5)},
}
_BY_HEADER: Final = {name.casefold(): key for key, names in KNOWN.items() for name in names}
# In words: `Price / International`, `Compare-at price / United States`, `Included / Europe`.
_MARKET: Final = re.compile(r"(price|compare[ -]at price|included) / (.+)", re.IGNORECASE)
_METAFIELD: Final = re.compile(r".*\(product\.metafields\.([^().\s]+\.[^().\s]+)\)", re.IGNORECASE)
_MARKET_KEYS: Final = {"price": "price", "included": "included"}


class Columns(msgspec.Struct, frozen=True):
    """The columns of one file: `keys` by place (None: unknown), `headers` as the file spells them."""

    keys: tuple[str | None, ...]
    headers: Mapping[str, str]
    unknown: tuple[str, ...]

    def __contains__(self, key: str) -> bool:
        return key in self.headers

    def header(self, key: str) -> str:
        """The file's own spelling, for messages; the older name where the column is absent."""
        return self.headers.get(key) or KNOWN[key][0]

    def starting(self, prefix: str) -> tuple[str, ...]:
        return tuple(key for key in self.headers if key.startswith(prefix))


def read_columns(names: Iterable[str]) -> Columns:
    """Recognise a header line: names are trimmed and compared without case, place does not matter.

    Raises FileError where no Title column stands in it or one meaning stands in two columns: each of
    them could be the right one. Unknown columns are kept by name for a warning.
    """
    spelled = [name.strip() for name in names]
    if len(spelled) == 1 and (found := {";": "semicolons", "\t": "tabs"}.get(_separator(spelled[0]))):
        raise FileError(f"The columns are separated by {found}; save the file with commas.")
    keys: list[str | None] = []
    headers: dict[str, str] = {}
    unknown: list[str] = []
    for place, name in enumerate(spelled, 1):
        key = _key_of(name)
        keys.append(key)
        if key is None:
            unknown.append(name or f"(column {place} without a name)")
        elif key in headers:
            raise FileError(f"Two columns mean the same: {headers[key]!r} and {name!r}; remove one of them.")
        else:
            headers[key] = name
    if "title" not in headers:
        raise FileError("The first line has no Title column: it must hold the names of the columns.")
    return Columns(tuple(keys), headers, tuple(unknown))


def _separator(line: str) -> str:
    return max(";\t", key=line.count) if ";" in line or "\t" in line else ""


def _key_of(name: str) -> str | None:
    if key := _BY_HEADER.get(name.casefold()):
        return key
    if match := _METAFIELD.fullmatch(name):
        return f"metafield.{match[1]}"
    if match := _MARKET.fullmatch(name):
        kind = _MARKET_KEYS.get(match[1].lower(), "compare_at_price")
        return f"market.{kind}.{match[2].strip()}"
    return None
