"""What one row of a product file says: product, variant and image, typed and checked cell by cell.

A fault leaves out the part that it stands in, and nothing else: a bad price leaves out the variant, while
the product of the same row loads. A column that the file does not have is UNSET; a blank cell is empty.
"""

import re
import unicodedata
from collections.abc import Callable, Collection
from decimal import Decimal
from typing import Final, Literal, TypeVar, cast

import msgspec
from msgspec import UNSET, UnsetType

from app.domain.catalogue.csv_columns import Columns
from app.domain.catalogue.drafts import free_handle
from app.domain.catalogue.shopify_csv import Issue, Row
from app.kit.colors import parse_rgb
from app.kit.html import clean_html
from app.kit.money import MoneyError, exponent, to_minor

Status = Literal["active", "draft", "archived"]
Policy = Literal["deny", "continue"]
Text = str | UnsetType
T = TypeVar("T")

DEFAULT_OPTION: Final = "Title"
DEFAULT_VALUE: Final = "Default Title"
OPTION_PLACES: Final = (1, 2, 3)
WEIGHT_UNITS: Final = frozenset({"g", "kg", "lb", "oz"})
TRACKERS: Final = frozenset({"", "shopify", "storefront"})
MAX_SHORT: Final = 1_000  # characters of a handle, name, SKU ...: what an index can hold in any script
MAX_UNITS: Final = 1_000_000_000
MAX_POSITION: Final = 10_000
MAX_ADDRESS: Final = 4_000
_STATUSES: Final = ("active", "draft", "archived")
_HANDLE: Final = re.compile(r"[a-z0-9_]+(?:-+[a-z0-9_]+)*-*")
_DECIMAL: Final = re.compile(r"\d{1,15}(?:\.(\d+))?|\.(\d+)", re.ASCII)
_WHOLE: Final = re.compile(r"[+-]?\d{1,18}", re.ASCII)
_MANGLED: Final = re.compile(r"\d(?:[.,]\d+)?[eE]\+?\d+", re.ASCII)
_HTTP: Final = re.compile(r"https?://[^\s/?#]+[^\s]*", re.IGNORECASE)
_DEMO: Final = "demo:"  # how fixtures/products.csv names pictures, which only the demo shop has


class ProductCells(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the first row of a product says of the product."""

    title: str
    body_html: Text = UNSET
    vendor: Text = UNSET
    type: Text = UNSET
    product_category: Text = UNSET
    tags: list[str] | UnsetType = UNSET
    published: bool | UnsetType = UNSET
    status: Status | UnsetType = UNSET
    gift_card: bool | UnsetType = UNSET
    seo_title: Text = UNSET
    seo_description: Text = UNSET
    metafields: dict[str, str] = {}
    option_names: list[str] | UnsetType = UNSET
    linked_to: list[str] | UnsetType = UNSET
    former_handle: str = ""


class MarketCells(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a row says of one market; None means no special price there."""

    included: bool | UnsetType = UNSET
    price: int | UnsetType | None = UNSET
    compare_at_price: int | UnsetType | None = UNSET


class VariantCells(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a row says of a variant. Money in minor units; values are those of its options, in order."""

    values: list[str] | UnsetType = UNSET
    price: int | UnsetType = UNSET
    compare_at_price: int | UnsetType | None = UNSET
    cost: int | UnsetType | None = UNSET
    sku: Text = UNSET
    barcode: Text = UNSET
    grams: Decimal | UnsetType = UNSET
    weight_unit: Text = UNSET
    taxable: bool | UnsetType = UNSET
    tax_code: Text = UNSET
    requires_shipping: bool | UnsetType = UNSET
    fulfillment_service: Text = UNSET
    inventory_management: Text = UNSET
    policy: Policy | UnsetType = UNSET
    quantity: int | UnsetType = UNSET
    image: Text = UNSET
    colors: list[str] | UnsetType = UNSET
    metafields: dict[str, str] = {}
    markets: dict[str, MarketCells] = {}


class ImageCells(msgspec.Struct, frozen=True, omit_defaults=True):
    """A picture of a row; position None is the place of its row."""

    src: str
    position: int | None = None
    alt: Text = UNSET


class ImportRow(msgspec.Struct, frozen=True, omit_defaults=True):
    """One row as it waits for the other rows of its handle.

    `left_out` says that a part of it had a fault, `picture_lost` that it names a picture which cannot be used.
    """

    line: int
    handle: str
    product: ProductCells | None = None
    variant: VariantCells | None = None
    image: ImageCells | None = None
    left_out: bool = False
    picture_lost: bool = False


class _Fault(Exception):  # noqa: N818 - never leaves this module
    def __init__(self, key: str, message: str) -> None:
        super().__init__(message)
        self.key = key
        self.message = message


def make_handle(title: str) -> str:
    """The handle of a title: ASCII letters and digits, dashes between; empty where nothing is left."""
    plain = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain.replace("'", "")).strip("-")[:255]


class RowReader:
    """Turns rows of one file into ImportRows and collects what there is to tell about them."""

    def __init__(
        self,
        columns: Columns,
        *,
        currency: str,
        hidden_handles: Collection[str] = (),
        rewrite_image: Callable[[str], str] | None = None,
    ) -> None:
        self._columns = columns
        self._currency = currency
        self._hidden = frozenset(hidden_handles)
        self._rewrite_image = rewrite_image
        self._cells: dict[str, str] = {}
        self._line = 0
        self._handle = ""
        self._picture_lost = False
        self.issues: list[Issue] = []

    def read(self, row: Row) -> ImportRow | None:
        """The row, or None where it holds nothing that can be loaded; `issues` then says why."""
        self._cells, self._line, self._handle = row.cells, row.line, row.cells.get("handle", "")
        try:
            self._handle = self._read_handle()
        except _Fault as fault:
            self._tell("error", fault.key, fault.message)
            return None
        self._picture_lost = False
        before = sum(issue.level == "error" for issue in self.issues)
        product = self._part(self._read_product) if self._text("title") else None
        variant = self._part(self._read_variant) if self._is_variant() else None
        image = self._part(self._read_image)
        left_out = sum(issue.level == "error" for issue in self.issues) > before
        if left_out and self._names_lost_picture(variant, image):
            self._picture_lost = True
        if product is None and variant is None and image is None and not left_out:
            self._tell("warning", "handle", "the row holds no title, no variant and no image")
            return None
        return ImportRow(self._line, self._handle, product, variant, image, left_out, self._picture_lost)

    # The parts of a row.

    def _part(self, read: Callable[[], T]) -> T | None:
        try:
            return read()
        except _Fault as fault:
            self._tell("error", fault.key, fault.message)
            return None

    def _names_lost_picture(self, variant: VariantCells | None, image: ImageCells | None) -> bool:
        """Whether a picture that the row names went out with the part that it stands in."""
        return (bool(self._text("image_src")) and image is None) or (
            bool(self._text("variant_image")) and variant is None
        )

    def _read_handle(self) -> str:
        handle = self._text("handle").lower()
        if not handle:
            handle = make_handle(self._text("title"))
            if not handle:
                raise _Fault("handle", "the row has no handle, and no title to make one from")
        elif not _HANDLE.fullmatch(handle) or len(handle) > MAX_SHORT:
            raise _Fault("handle", "a handle has letters, digits and dashes only")
        free = free_handle(handle, self._hidden)
        if free != handle:
            self._tell("note", "handle", f"a path of the shop's own has this name; it becomes {free}")
        return free

    def _read_product(self) -> ProductCells:
        names, linked = self._read_options()
        status = self._optional("status", lambda key: self._choice(key, "active", _STATUSES))
        metafields = {
            key: self._short(key)
            for prefix in ("google.", "metafield.")
            for key in self._columns.starting(prefix)
            if key != "google.mpn"
        }
        return ProductCells(
            title=self._short("title"),
            body_html=self._optional("body_html", lambda key: clean_html(self._text(key))),
            vendor=self._optional("vendor", self._short),
            type=self._optional("type", self._short),
            product_category=self._optional("product_category", self._short),
            tags=self._optional("tags", self._tags),
            published=self._optional("published", lambda key: self._truth(key, default=True)),
            status=cast("Status | UnsetType", status),
            gift_card=self._optional("gift_card", lambda key: self._truth(key, default=False)),
            seo_title=self._optional("seo_title", self._short),
            seo_description=self._optional("seo_description", self._text),
            metafields={key.removeprefix("metafield."): value for key, value in metafields.items()},
            option_names=names,
            linked_to=linked,
            former_handle=self._short("former_handle").lower(),
        )

    def _read_options(self) -> tuple[list[str] | UnsetType, list[str] | UnsetType]:
        if not any(f"option{n}_name" in self._columns for n in OPTION_PLACES):
            return UNSET, UNSET
        names: list[str] = []
        linked: list[str] = []
        for place in OPTION_PLACES:
            name = self._short(f"option{place}_name")
            if name:
                if len(names) < place - 1:
                    raise _Fault(f"option{place}_name", "an option stands before it without a name")
                if name.casefold() in {known.casefold() for known in names}:
                    raise _Fault(f"option{place}_name", "two options have this name")
                names.append(name)
                linked.append(self._short(f"option{place}_linked_to"))
        return names or [DEFAULT_OPTION], linked if "option1_linked_to" in self._columns else UNSET

    def _is_variant(self) -> bool:
        keys = (*(f"option{n}_value" for n in OPTION_PLACES), "price", "sku", "barcode")
        return any(self._text(key) for key in keys)

    def _read_variant(self) -> VariantCells:
        price: int | UnsetType = UNSET
        if "price" in self._columns:
            if not self._text("price"):
                raise _Fault("price", "a variant needs a price; write 0 for one that costs nothing")
            price = self._money("price") or 0
        tracker = self._optional("tracker", lambda key: self._short(key).lower())
        if tracker is not UNSET and tracker not in TRACKERS:
            self._tell("warning", "tracker", "this tracker is not known; the stock is counted here")
        service = self._optional("fulfillment_service", lambda key: self._short(key) or "manual")
        if service is not UNSET and service != "manual":
            self._tell("warning", "fulfillment_service", "this service is not known; its name is kept")
        policy = self._optional("policy", lambda key: self._choice(key, "deny", ("deny", "continue")))
        return VariantCells(
            values=self._read_values(),
            price=price,
            compare_at_price=self._optional("compare_at_price", self._money),
            cost=self._optional("cost", self._money),
            sku=self._optional("sku", self._code),
            barcode=self._optional("barcode", self._barcode),
            grams=self._optional("grams", self._grams),
            weight_unit=self._optional("weight_unit", self._weight_unit),
            taxable=self._optional("taxable", lambda key: self._truth(key, default=True)),
            tax_code=self._optional("tax_code", self._short),
            requires_shipping=self._optional("requires_shipping", lambda key: self._truth(key, default=True)),
            fulfillment_service=service,
            inventory_management=tracker,
            policy=cast("Policy | UnsetType", policy),
            quantity=self._optional("quantity", self._quantity),
            image=self._read_variant_image(),
            colors=self._optional("colors", self._colors),
            metafields=({"google.mpn": self._barcode("google.mpn")} if "google.mpn" in self._columns else {}),
            markets=self._read_markets(),
        )

    def _read_values(self) -> list[str] | UnsetType:
        if not any(f"option{n}_value" in self._columns for n in OPTION_PLACES):
            return UNSET
        values = [self._short(f"option{n}_value") for n in OPTION_PLACES]
        while values and not values[-1]:
            values.pop()
        for place, value in enumerate(values, 1):
            if not value:
                raise _Fault(f"option{place}_value", "an option after it has a value, this one has none")
        return values or [DEFAULT_VALUE]

    def _read_markets(self) -> dict[str, MarketCells]:
        found: dict[str, dict[str, bool | int | None]] = {}
        for key in self._columns.starting("market."):
            _, kind, market = key.split(".", 2)
            value = self._truth(key, default=True) if kind == "included" else self._money(key)
            found.setdefault(market, {})[kind] = value
        return {market: msgspec.convert(cells, MarketCells) for market, cells in found.items()}

    def _read_image(self) -> ImageCells | None:
        src = self._text("image_src")
        if not src:
            for key in ("image_alt", "image_position"):
                if self._text(key):
                    self._tell("note", key, "there is no image address beside it; ignored")
            return None
        position = None
        if self._text("image_position"):
            position = self._whole("image_position", least=1, most=MAX_POSITION)
        address = self._address("image_src")
        if address is UNSET:
            return None
        return ImageCells(address, position, self._optional("image_alt", self._short))

    def _read_variant_image(self) -> Text:
        # An address that cannot be used costs the variant its picture, and never the variant.
        return self._address("variant_image") if "variant_image" in self._columns else UNSET

    # The kinds of cells. Each reads the cell of a column or raises _Fault with the reason.

    def _text(self, key: str) -> str:
        return self._cells.get(key, "")

    def _optional(self, key: str, read: Callable[[str], T]) -> T | UnsetType:
        return read(key) if key in self._columns else UNSET

    def _short(self, key: str) -> str:
        value = self._text(key)
        if len(value) > MAX_SHORT:
            raise _Fault(key, f"the text is longer than {MAX_SHORT:,} characters")
        return value

    def _tags(self, key: str) -> list[str]:
        seen: dict[str, str] = {}
        for tag in self._text(key).split(","):
            if name := tag.strip():
                seen.setdefault(name.casefold(), name)
        return list(seen.values())

    def _colors(self, key: str) -> list[str]:
        found: dict[str, None] = {}
        for code in self._text(key).replace(",", " ").split():
            rgb = parse_rgb(code)
            if rgb is None:
                raise _Fault(
                    key, "a colour is six hexadecimal digits, as 2f5d3a; several with commas between"
                )
            found[f"{rgb:06x}"] = None
        return list(found)

    def _truth(self, key: str, *, default: bool) -> bool:
        value = self._text(key).lower()
        if value not in {"", "true", "false"}:
            raise _Fault(key, "the cell must be TRUE or FALSE")
        return value == "true" if value else default

    def _choice(self, key: str, default: str, allowed: tuple[str, ...]) -> str:
        value = self._text(key).lower() or default
        if value not in allowed:
            raise _Fault(key, f"the cell must be one of {', '.join(allowed)}")
        return value

    def _money(self, key: str) -> int | None:
        value = self._text(key)
        if not value:
            return None
        match = _DECIMAL.fullmatch(value)
        if not match:
            raise _Fault(key, "an amount is written as 1234.50, without currency sign or separators")
        decimals = exponent(self._currency)
        if len(match[1] or match[2] or "") > decimals:
            raise _Fault(key, f"{self._currency} has {decimals} decimals, the amount has more")
        try:
            return to_minor(value, self._currency)
        except MoneyError:
            raise _Fault(key, "the amount is too large") from None

    def _whole(self, key: str, *, least: int, most: int) -> int:
        value = self._text(key)
        if not _WHOLE.fullmatch(value):
            raise _Fault(key, "the cell must be a whole number")
        if not least <= int(value) <= most:
            raise _Fault(key, f"the number must be from {least:,} to {most:,}")
        return int(value)

    def _quantity(self, key: str) -> int:
        units = self._whole(key, least=-MAX_UNITS, most=MAX_UNITS) if self._text(key) else 0
        if units < 0:
            self._tell("warning", key, "the stock is negative; it is kept as it stands")
        return units

    def _grams(self, key: str) -> Decimal:
        value = self._text(key)
        if value and (not _DECIMAL.fullmatch(value) or Decimal(value) > MAX_UNITS):
            raise _Fault(key, "a weight is a plain number of grams, as 226.8")
        return round(Decimal(value), 4) if value else Decimal(0)

    def _weight_unit(self, key: str) -> str:
        value = self._text(key).lower()
        if value and value not in WEIGHT_UNITS:
            self._tell("warning", key, "this unit is not known; weights are shown in g")
        return value if value in WEIGHT_UNITS else "g"

    def _code(self, key: str) -> str:
        # Spreadsheets guard leading zeros by an apostrophe, which is no part of the code.
        return self._short(key).removeprefix("'").strip()

    def _barcode(self, key: str) -> str:
        value = self._code(key)
        if _MANGLED.fullmatch(value):
            self._tell("warning", key, "a spreadsheet made this number unreadable; left empty")
            return ""
        return value

    def _address(self, key: str) -> Text:
        """A picture's address; UNSET for one that cannot be used, which is told here and then."""
        value = self._text(key)
        if value and self._rewrite_image is not None:
            value = self._rewrite_image(value)
        if not value or (_HTTP.fullmatch(value) and len(value) <= MAX_ADDRESS):
            return value
        self._picture_lost = True
        if value.startswith(_DEMO):
            message = "only the demo shop has pictures under demo:; write where they are, from http:// on"
        else:
            message = "an image is an address that begins with http:// or https://"
        self._tell("error", key, message)
        return UNSET

    def _tell(self, level: Literal["error", "warning", "note"], key: str, message: str) -> None:
        self.issues.append(
            Issue(level, self._line, self._handle, self._columns.header(key), self._text(key), message)
        )
