"""What a product is when somebody writes it: one value with its options, variants and pictures."""

import re
import unicodedata
from collections.abc import Collection, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, Literal

import msgspec

DEFAULT_TITLE: Final = "Default Title"
_NO_WORD: Final = re.compile(r"[^a-z0-9]+")


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
    """A variant. `values` has one value for each option, in their order; prices are minor units."""

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


def fold_key(text: str) -> str:
    """A name as filters and addresses spell it: "Rosé Gold" is rose-gold. Empty where nothing is left."""
    plain = unicodedata.normalize("NFKD", text.replace("ß", "ss")).encode("ascii", "ignore").decode()
    return _NO_WORD.sub("-", plain.lower()).strip("-")


def key_of(text: str) -> str:
    """A key for any name: folded, or the name itself in lower case where folding leaves nothing (日本)."""
    return fold_key(text) or text.strip().lower()


def free_handle(handle: str, reserved: Collection[str]) -> str:
    """The handle, or with -1 where a path word of ours would hide it."""
    return f"{handle}-1" if handle in reserved else handle
