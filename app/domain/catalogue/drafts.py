"""What a product is when somebody writes it: one value with its options, variants and pictures."""

import re
import unicodedata
from collections.abc import Collection, Mapping
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any, Final, Literal

import msgspec

DEFAULT_TITLE: Final = "Default Title"
_PLAIN: Final = re.compile(r"[a-z0-9]+")
# Latin letters that are no letter with an accent.
_LETTERS: Final = str.maketrans(
    {
        "ß": "ss",
        "æ": "ae",
        "œ": "oe",
        "ø": "o",
        "ł": "l",
        "đ": "d",
        "ð": "d",
        "þ": "th",
        "ħ": "h",
        "\u0131": "i",
    }
)
# Signs that tell names apart, where they do: -1 and +1, 10+, C++; not the dash of "S - M", nor the plus of "Red + Blue".
_SIGNS: Final = {
    "+": "plus",
    "-": "minus",
    "\u2212": "minus",
    "<": "under",
    ">": "over",
    "≤": "to",
    "≥": "from",
}
_SIGN: Final = re.compile(r"[<>≤≥]|(?<![^\s(])[-\u2212](?=\d)|(?<!\S)\+(?=\w)|(?<=[\w+])\+(?![^\s+)])")


class ImageDraft(msgspec.Struct, frozen=True):
    """A picture, known by its address; places count from 1 in the order given."""

    src: str
    alt: str = ""
    width: int | None = None
    height: int | None = None
    tags: tuple[str, ...] = ()


class OptionDraft(msgspec.Struct, frozen=True):
    """Something to choose, with its values in order."""

    name: str
    values: tuple[str, ...]
    linked_to: str = ""


class MarketPriceDraft(msgspec.Struct, frozen=True):
    """What holds in one market; minor units, None where it has no price of its own."""

    market: str
    included: bool = True
    price: int | None = None
    compare_at_price: int | None = None


class StockDraft(msgspec.Struct, frozen=True):
    """The stock a new variant begins with; the stock of a known variant is left alone."""

    tracked: bool = True
    policy: Literal["deny", "continue"] = "deny"
    on_hand: int = 0


class VariantDraft(msgspec.Struct, frozen=True):
    """A variant. `values` has one value for each option, in their order; prices are minor units.

    `colors` are six hexadecimal digits each; without them the names of its options tell.
    """

    price: int
    values: tuple[str, ...] = ()
    sku: str = ""
    barcode: str = ""
    compare_at_price: int | None = None
    cost: int | None = None
    grams: Decimal = Decimal(0)
    weight_unit: str = "g"
    taxable: bool = True
    tax_code: str = ""
    requires_shipping: bool = True
    fulfillment_service: str = "manual"
    inventory_management: str = ""
    image_src: str = ""
    seo_title: str = ""
    seo_description: str = ""
    metafields: Mapping[str, Any] = {}
    market_prices: tuple[MarketPriceDraft, ...] = ()
    colors: tuple[str, ...] = ()
    stock: StockDraft | None = None

    @property
    def title(self) -> str:
        return variant_title(self.values)


class ProductDraft(msgspec.Struct, frozen=True):
    """A product with everything that belongs to it; the handle says which one it is.

    Where there is none of that handle yet, it is the one of former_handle, which is renamed.
    """

    handle: str
    title: str
    variants: tuple[VariantDraft, ...]
    options: tuple[OptionDraft, ...] = ()
    images: tuple[ImageDraft, ...] = ()
    body_html: str = ""
    vendor: str = ""
    type: str = ""
    product_category: str = ""
    tags: tuple[str, ...] = ()
    status: str = "active"
    published: bool = True
    published_at: datetime | None = None
    template_suffix: str = ""
    published_scope: str = "web"
    gift_card: bool = False
    seo_title: str = ""
    seo_description: str = ""
    metafields: Mapping[str, Any] = {}
    former_handle: str = ""


def variant_title(values: Collection[str]) -> str:
    """The values side by side, or the name of a product's only, nameless variant."""
    return " / ".join(values) or DEFAULT_TITLE


# The same few names stand on very many variants.
@lru_cache(maxsize=4096)
def key_of(text: str) -> str:
    """A name as filters and addresses spell it: "Rosé Gold" is rose-gold, "1 м" is 1-м. A key is its own key.

    Capitals, accents of Latin letters and what stands between words make no difference; letters of other scripts do,
    and the signs in +1, -1, <10 and C++. A name without any letter or number is its own key.
    """
    key = _folded(text)
    # A letter may come apart into a mark and another, as the Thai am does: at the beginning the mark then goes, too.
    while (again := _folded(key)) != key:
        key = again
    return key


def _folded(text: str) -> str:
    key = ""
    for char in unicodedata.normalize("NFC", _SIGN.sub(_spell_sign, text).lower()).translate(_LETTERS):
        key += _key_part(char, key[-1:])
    return "-".join(part for part in key.split("-") if part) or text.strip().lower()


def _spell_sign(sign: re.Match[str]) -> str:
    return f" {_SIGNS[sign[0]]} "


def _key_part(char: str, before: str) -> str:
    """What stands in a key for a character; a dash where it only parts words."""
    plain = "".join(one if one.isascii() else " " for one in unicodedata.normalize("NFKD", char))
    latin = "-".join(_PLAIN.findall(plain.lower()))
    if latin:
        # 1½ is not 11/2.
        return f"-{latin}" if "-" in latin else latin
    if unicodedata.category(char).startswith("M"):
        # Of letters of other scripts it is a part, as in Hindi.
        return "" if before.isascii() else char
    return unicodedata.normalize("NFKC", char) if char.isalnum() else "-"


def free_handle(handle: str, reserved: Collection[str]) -> str:
    """The handle, or with -1 where a path word of ours would hide it."""
    return f"{handle}-1" if handle in reserved else handle
