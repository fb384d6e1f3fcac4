"""What is to become of a product: the file's say compared with the options and variants that stand."""

from typing import Final

import msgspec
from msgspec import UNSET

from app.domain.catalogue.csv_columns import Columns
from app.domain.catalogue.import_products import ImportProduct, ImportVariant
from app.domain.catalogue.import_rows import DEFAULT_OPTION, DEFAULT_VALUE
from app.domain.catalogue.shopify_csv import Issue

DEFAULT: Final = (DEFAULT_VALUE,)


class KnownOption(msgspec.Struct):
    """An option as it stands, and its values by name."""

    id: int
    name: str
    linked_to: str
    values: dict[str, int]


class KnownVariant(msgspec.Struct, frozen=True):
    id: int
    values: tuple[str, ...]
    image_id: int | None = None


class Known(msgspec.Struct):
    """A product as it stands in the shop."""

    id: int
    options: list[KnownOption] = []
    variants: list[KnownVariant] = []
    images: dict[str, int] = {}

    @property
    def is_single(self) -> bool:
        return [variant.values for variant in self.variants] == [DEFAULT]


class Change(msgspec.Struct):
    """One product on its way in: what the file says, what stands, and what was resolved from both."""

    product: ImportProduct
    known: Known | None
    option_names: list[str]
    variants: dict[tuple[str, ...], ImportVariant]
    replaces: bool = False  # the options are others than before, so the variants are too

    @property
    def id(self) -> int:
        assert self.known is not None
        return self.known.id


class Resolver:
    """Decides product by product, and collects the faults that only the comparison shows."""

    def __init__(self, columns: Columns) -> None:
        self._columns = columns
        self.issues: list[Issue] = []

    def resolve(self, product: ImportProduct, known: Known | None) -> Change | None:
        names = product.cells.option_names
        if names is UNSET:
            names = [option.name for option in known.options] if known else [DEFAULT_OPTION]
        variants: dict[tuple[str, ...], ImportVariant] = {}
        for variant in product.variants:
            values = self._values_of(variant, known, names)
            if values is None:
                self._fault(
                    variant.line, product, "option1_value", "the product has options; this row names no value"
                )
            elif len(values) != len(names):
                self._fault(variant.line, product, "option1_name", "the options of this row have no names")
            else:
                variants[values] = variant
        if known is None:
            return self._resolve_new(product, names, variants)
        change = Change(product, known, names, variants)
        if product.cells.option_names is not UNSET and known.variants:
            default_only = list(variants) == [DEFAULT]
            change.replaces = bool(variants) and (
                len(names) != len(known.options) or default_only != known.is_single
            )
            if not variants and len(names) != len(known.options):
                self._fault(
                    product.line, product, "option1_name", "other options need their variants in the file"
                )
                return None
        standing = {variant.values for variant in known.variants}
        for values in [values for values in variants if change.replaces or values not in standing]:
            if variants[values].cells.price is UNSET:
                self._fault(variants[values].line, product, "price", "a new variant needs a price")
                del variants[values]
        return None if change.replaces and not variants else change

    def _resolve_new(
        self, product: ImportProduct, names: list[str], variants: dict[tuple[str, ...], ImportVariant]
    ) -> Change | None:
        if variants and "price" in self._columns:
            return Change(product, None, names, variants)
        if not product.has_faults and (not variants or "price" not in self._columns):
            self._fault(product.line, product, "price", "a new product needs a price")
        return None

    def _values_of(
        self, variant: ImportVariant, known: Known | None, names: list[str]
    ) -> tuple[str, ...] | None:
        if variant.cells.values is not UNSET:
            return tuple(variant.cells.values)
        # Without option columns a row means the only variant that there is.
        if known is not None and len(known.variants) == 1:
            return known.variants[0].values
        return DEFAULT if names == [DEFAULT_OPTION] else None

    def _fault(self, line: int, product: ImportProduct, key: str, message: str) -> None:
        self.issues.append(Issue("error", line, product.handle, self._columns.header(key), "", message))
